-- Writes idempotency keys that are unknown or expired, and answers which. $7 is the age at which a key expires.
insert into idempotency_keys (organization_id, idempotency_key, fingerprint, event_id, deliveries, created_at)
select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::bigint[], $6::bigint[])
on conflict (organization_id, idempotency_key) do update set fingerprint = excluded.fingerprint,
    event_id = excluded.event_id, deliveries = excluded.deliveries, created_at = excluded.created_at
where idempotency_keys.created_at < excluded.created_at - $7
returning organization_id, idempotency_key
