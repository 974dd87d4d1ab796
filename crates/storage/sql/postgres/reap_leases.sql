-- Takes back every lease whose node is gone. A statement of its own, after the nodes were forgotten: what an ingest committed
-- while that one waited is visible only to a later snapshot.
update queue set node_id = null
where node_id is not null and not exists (select 1 from nodes where nodes.id = queue.node_id)
