-- Forgets nodes whose time ran out, by the database's own clock. It waits for their open ingests and claims, which hold
-- their rows.
delete from nodes where alive_until < (extract(epoch from clock_timestamp()) * 1000)::bigint
