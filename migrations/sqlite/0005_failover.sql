-- Integrations that stand in for each other, who of them does the work, and what moved.

create table failover_groups (
    id blob not null primary key,
    organization_id blob not null references organizations (id),
    primary_id blob not null references integrations (id) on delete cascade,
    -- JSON of domain::failover::FailoverRules.
    rules text not null,
    -- JSON of domain::failover::Board. Changed under the lock of this row only.
    board text not null,
    -- Rises with what turns, not with each result.
    version integer not null,
    -- When somebody has to look at it, whatever comes in.
    look_at integer,
    constraint failover_groups_primary unique (primary_id)
) strict;
create index failover_groups_by_organization on failover_groups (organization_id);
create index failover_groups_due on failover_groups (look_at) where look_at is not null;

create table failover_members (
    failover_id blob not null references failover_groups (id) on delete cascade,
    -- 0 is the primary, then the backups in their order.
    position integer not null,
    -- No reference: a backup that was deleted is shown as missing.
    integration_id blob not null,
    primary key (failover_id, position),
    -- In one group at most.
    constraint failover_members_integration unique (integration_id)
) strict;

create table failover_moves (
    -- UUIDv7: also says when it happened.
    id blob not null primary key,
    organization_id blob not null,
    failover_id blob not null,
    kind text not null,
    from_id blob not null,
    from_name text not null,
    to_id blob not null,
    to_name text not null,
    is_automatic integer not null,
    reason text not null,
    -- Failures in a row at that time.
    failures integer not null,
    actor text not null,
    -- Whether webhooks are to hear of it still.
    is_untold integer not null
) strict;
create index failover_moves_by_group on failover_moves (organization_id, failover_id, id);
create index failover_moves_by_age on failover_moves (organization_id, id);
create index failover_moves_untold on failover_moves (id) where is_untold;
