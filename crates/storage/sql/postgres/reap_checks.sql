-- What dead nodes held is free again.
update integration_health set node_id = null
where node_id is not null and not exists (select 1 from nodes where id = integration_health.node_id)
