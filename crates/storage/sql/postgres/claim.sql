-- Leases due deliveries, at most $3 of each webhook, past rows that another node is claiming. $5: largest body sent along.
with me as (
    select id from nodes where id = $4 for key share
), picked as (
    select ready.delivery_id
    from unnest($1::uuid[]) as webhook (id)
    cross join lateral (
        select delivery_id from queue
        where webhook_id = webhook.id and node_id is null and due_at <= $2
        order by due_at, delivery_id limit $3
        for update skip locked
    ) as ready
), leased as (
    update queue set node_id = me.id from me where delivery_id in (select delivery_id from picked)
    returning delivery_id, due_at, earlier_attempts
)
select d.id, d.organization_id, d.webhook_id, d.event_id, d.event_type, d.kind, d.attempts, leased.earlier_attempts, d.replay_of,
       case when length(e.body) <= $5 then e.body end as body
from leased join deliveries d on d.id = leased.delivery_id left join events e on e.id = d.event_id
order by leased.due_at, d.id
