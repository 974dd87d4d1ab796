-- Stores events and deliveries in one statement, so that the usual ingest is one round trip and one commit.
-- $1 is the node. Its row is locked against being reaped, so that a lease always has a living owner; if it is gone,
-- nothing is leased, and the answer says so.
with me as (
    select id from nodes where id = $1 for key share
), stored as (
    insert into events (id, organization_id, source_id, event_type, body, deliveries)
    select * from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bytea[], $7::bigint[])
), delivery as (
    select * from unnest($8::uuid[], $9::uuid[], $10::uuid[], $11::uuid[], $12::text[], $13::text[], $14::bigint[], $15::boolean[])
        as d (id, organization_id, webhook_id, event_id, event_type, kind, due_at, leased)
), kept as (
    insert into deliveries (id, organization_id, webhook_id, event_id, event_type, kind, state, attempts)
    select id, organization_id, webhook_id, event_id, event_type, kind, 'pending', 0 from delivery
), queued as (
    insert into queue (delivery_id, organization_id, webhook_id, due_at, earlier_attempts, node_id)
    select id, organization_id, webhook_id, due_at, 0, case when leased then (select id from me) end from delivery
)
select exists (select 1 from me)
