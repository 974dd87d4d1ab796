-- Leases the first $2 deliveries of webhook $1, which wants them in order. The caller made sure that nobody holds the first.
-- $4: largest body sent along.
with me as (
    select id from nodes where id = $3 for key share
), leased as (
    update queue set node_id = me.id from me
    where delivery_id in (
        select delivery_id from queue where webhook_id = $1 and node_id is null order by delivery_id limit $2
    )
    returning delivery_id, earlier_attempts
)
select d.id, d.organization_id, d.webhook_id, d.event_id, d.event_type, d.kind, d.attempts, leased.earlier_attempts,
       d.replay_of, case when length(e.body) <= $4 then e.body end as body
from leased join deliveries d on d.id = leased.delivery_id left join events e on e.id = d.event_id
order by d.id
