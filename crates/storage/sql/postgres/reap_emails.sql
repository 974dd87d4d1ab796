-- What dead nodes held is free again. What was being handed over may have arrived.
update emails set node_id = null, possibly_sent = true
where node_id is not null and not exists (select 1 from nodes where id = emails.node_id)
