-- Stores what tries came to, in one statement. Only deliveries that node $1 still holds count; they are returned, and
-- with the length of their series the webhooks that failed.
-- Rows of shared sums are written in key order, so that two nodes never wait for each other in a circle.
with result as (
    select * from unnest(
        $2::uuid[], $3::uuid[], $4::uuid[], $5::boolean[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
        $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::bigint[], $16::text[], $17::bytea[],
        $18::boolean[], $19::text[], $20::text[], $21::bigint[]
    ) as r (delivery_id, organization_id, webhook_id, counts, state, due_at, finished_at, number,
        started_at, duration_ms, timing, url, request_headers, response_status, response_headers, response_body,
        response_truncated, error, error_detail, slot)
), ended as (
    delete from queue using result
    where queue.delivery_id = result.delivery_id and queue.node_id = $1 and result.due_at is null
    returning queue.delivery_id
), waiting as (
    update queue set node_id = null, due_at = result.due_at from result
    where queue.delivery_id = result.delivery_id and queue.node_id = $1 and result.due_at is not null
    returning queue.delivery_id
), mine as (
    select result.* from result
    where delivery_id in (select delivery_id from ended union all select delivery_id from waiting)
), updated as (
    update deliveries set state = mine.state, attempts = mine.number, finished_at = mine.finished_at,
        response_status = mine.response_status, error = mine.error, duration_ms = mine.duration_ms
    from mine where deliveries.id = mine.delivery_id
), tried as (
    insert into attempts (delivery_id, number, organization_id, started_at, duration_ms, timing, url, request_headers,
        response_status, response_headers, response_body, response_truncated, error, error_detail)
    select delivery_id, number, organization_id, started_at, duration_ms, timing, url, request_headers,
        response_status, response_headers, response_body, response_truncated, error, error_detail from mine
    -- A claim may have read the number of tries just before another node stored one.
    on conflict do nothing
), died as (
    insert into dead_letters (organization_id, delivery_id, webhook_id, died_at)
    select organization_id, delivery_id, webhook_id, finished_at from mine where state = 'dead_letter'
    on conflict do nothing
), mourned as (
    insert into dead_letter_counts (organization_id, webhook_id, dead_letters)
    select organization_id, webhook_id, count(*) from mine where state = 'dead_letter'
    group by organization_id, webhook_id order by organization_id, webhook_id
    on conflict (organization_id, webhook_id) do update set
        dead_letters = dead_letter_counts.dead_letters + excluded.dead_letters
), summed as (
    insert into rollups (organization_id, grain_minutes, bucket, webhook_id, slot, delivered, failed, duration_ms)
    select organization_id, grain, started_at / 60000 / grain * grain as bucket, webhook_id, slot,
        count(*) filter (where error is null), count(*) filter (where error is not null), sum(duration_ms)::bigint
    from mine cross join (values (1::bigint), (60), (1440)) as grains (grain)
    group by organization_id, grain, bucket, webhook_id, slot
    order by organization_id, grain, bucket, webhook_id, slot
    on conflict (organization_id, grain_minutes, bucket, webhook_id, slot) do update set
        delivered = rollups.delivered + excluded.delivered, failed = rollups.failed + excluded.failed,
        duration_ms = rollups.duration_ms + excluded.duration_ms
), felt as (
    -- Any success in the batch ends a series of failures. A webhook may have been deleted
    -- while its deliveries were under way.
    insert into webhook_health (organization_id, webhook_id, consecutive_failures, last_attempt_at)
    select organization_id, webhook_id, case when bool_or(error is null) then 0 else count(*) end, max(started_at)
    from mine where counts and webhook_id in (select id from webhooks)
    group by organization_id, webhook_id order by webhook_id
    on conflict (webhook_id) do update set
        consecutive_failures = case when excluded.consecutive_failures = 0 then 0
            else webhook_health.consecutive_failures + excluded.consecutive_failures end,
        last_attempt_at = greatest(webhook_health.last_attempt_at, excluded.last_attempt_at)
    returning webhook_id, consecutive_failures
)
select delivery_id as id, null::bigint as failures from mine
union all
select webhook_id, consecutive_failures from felt where consecutive_failures > 0
