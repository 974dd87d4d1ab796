-- What dead nodes held is free again.
update notices set node_id = null
where node_id is not null and not exists (select 1 from nodes where id = notices.node_id)
