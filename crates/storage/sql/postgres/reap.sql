-- Takes back what nodes held whose time ran out, by the database's own clock.
with dead as (
    delete from nodes where alive_until < (extract(epoch from clock_timestamp()) * 1000)::bigint returning id
)
update queue set node_id = null where node_id in (select id from dead)
