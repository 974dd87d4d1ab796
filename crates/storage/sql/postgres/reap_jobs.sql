-- Takes back every job whose node is gone.
update jobs set node_id = null
where state = 'running' and node_id is not null and not exists (select 1 from nodes where nodes.id = jobs.node_id)
