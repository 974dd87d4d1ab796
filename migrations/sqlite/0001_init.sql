-- The first schema. What is read often and changes often is kept apart from history: `queue` holds only the deliveries that
-- still have to be sent, so that claiming costs the same however many have ended, and `dead_letters` only what waits for a
-- person. No index of `deliveries` covers a column that changes when a first try succeeds.

create table meta (
    name text not null primary key,
    value text not null
) strict;

-- When old things were last deleted: milliseconds.
insert into meta (name, value) values ('routing_version', '1'), ('pruned_at', '0');

create table organizations (
    id blob not null primary key,
    name text not null,
    -- Unguessable part of the Inspector's address.
    inspector_token text not null unique,
    -- JSON of domain::RetryPolicy.
    retry_policy text not null,
    -- JSON of domain::Retention.
    retention text not null,
    -- JSON of domain::api::InspectorResponse; null: as long as nobody chose one.
    inspector_response text,
    created_at integer not null
) strict;

create table members (
    id blob not null primary key,
    organization_id blob not null references organizations (id),
    name text not null,
    -- Lower case.
    email text not null unique,
    role text not null,
    password_hash text not null,
    created_at integer not null
) strict;
create index members_by_organization on members (organization_id, id);

create table sessions (
    -- SHA-256 of the cookie's value.
    token_hash blob not null primary key,
    organization_id blob not null references organizations (id),
    member_id blob not null references members (id),
    user_agent text not null,
    address text,
    created_at integer not null,
    expires_at integer not null
) strict;
create index sessions_by_member on sessions (member_id);
create index sessions_by_end on sessions (expires_at);

create table sources (
    id blob not null primary key,
    organization_id blob not null references organizations (id),
    name text not null,
    created_at integer not null,
    constraint sources_name unique (organization_id, name)
) strict;

create table api_keys (
    id blob not null primary key,
    organization_id blob not null references organizations (id),
    name text not null,
    prefix text not null,
    -- SHA-256 of the whole key.
    key_hash blob not null unique,
    -- JSON list of domain::Scope.
    scopes text not null,
    source_id blob references sources (id),
    created_at integer not null,
    last_used_at integer,
    expires_at integer,
    revoked_at integer
) strict;
create index api_keys_by_organization on api_keys (organization_id, id);

create table event_types (
    organization_id blob not null references organizations (id),
    name text not null,
    category text not null,
    description text not null,
    -- JSON.
    sample text not null,
    created_at integer not null,
    primary key (organization_id, name)
) strict, without rowid;

create table webhooks (
    id blob not null primary key,
    organization_id blob not null references organizations (id),
    name text not null,
    url text not null,
    description text not null,
    -- JSON list of patterns.
    events text not null,
    -- JSON list of names, for display.
    header_names text not null,
    -- Encrypted JSON of names and values.
    headers blob,
    source_id blob references sources (id),
    -- JSON of domain::Filter.
    filter text not null,
    -- JSON of domain::RetryPolicy; null for the organization's.
    retry_policy text,
    -- JSON of domain::RetryPolicy by event type.
    event_policies text not null,
    -- JSON of domain::DeliveryOptions.
    options text not null,
    state text not null,
    state_reason text,
    -- Set while it is disabled because its endpoint failed: when one held delivery is tried next, and how often that was done.
    probe_at integer,
    probes integer not null,
    version integer not null,
    created_at integer not null,
    updated_at integer not null,
    constraint webhooks_name unique (organization_id, name)
) strict;

create table webhook_secrets (
    id blob not null primary key,
    organization_id blob not null references organizations (id),
    webhook_id blob not null references webhooks (id) on delete cascade,
    secret blob not null,
    created_at integer not null,
    -- Null for the one that signs first.
    expires_at integer
) strict;
create index webhook_secrets_by_webhook on webhook_secrets (webhook_id, created_at);

create table webhook_health (
    webhook_id blob not null primary key references webhooks (id) on delete cascade,
    organization_id blob not null,
    consecutive_failures integer not null,
    last_attempt_at integer not null
) strict, without rowid;

create table events (
    -- UUIDv7: also says when the event was accepted.
    id blob not null primary key,
    organization_id blob not null,
    source_id blob,
    event_type text not null,
    -- Exactly what receivers get.
    body blob not null,
    deliveries integer not null
) strict;
create index events_by_organization on events (organization_id, id);

create table idempotency_keys (
    organization_id blob not null,
    idempotency_key text not null,
    -- SHA-256 of what was sent with it.
    fingerprint blob not null,
    event_id blob not null,
    deliveries integer not null,
    created_at integer not null,
    primary key (organization_id, idempotency_key)
) strict, without rowid;
create index idempotency_keys_by_age on idempotency_keys (created_at);

create table deliveries (
    -- UUIDv7: also says when the delivery was created.
    id blob not null primary key,
    organization_id blob not null,
    webhook_id blob not null,
    event_id blob not null,
    event_type text not null,
    kind text not null,
    -- `sending` and `held` are never stored: a delivery is sending while its queue row is leased, and held while its
    -- webhook is not active.
    state text not null,
    attempts integer not null,
    finished_at integer,
    response_status integer,
    error text,
    duration_ms integer,
    replay_of blob
) strict, without rowid;
create index deliveries_by_organization on deliveries (organization_id, id);
create index deliveries_by_webhook on deliveries (webhook_id, id);
create index deliveries_by_event on deliveries (event_id);
-- Deliveries whose last try failed. What succeeds at once never enters it.
create index deliveries_failing on deliveries (organization_id, id, webhook_id, error) where error is not null;

create table queue (
    delivery_id blob not null primary key,
    organization_id blob not null,
    webhook_id blob not null,
    due_at integer not null,
    -- Tries made before it was queued: a retried dead letter has all its tries before it again.
    earlier_attempts integer not null,
    -- The node that has it leased.
    node_id blob
) strict, without rowid;
create index queue_ready on queue (webhook_id, due_at, delivery_id) where node_id is null;

create table dead_letters (
    organization_id blob not null,
    delivery_id blob not null,
    webhook_id blob not null,
    died_at integer not null,
    primary key (organization_id, delivery_id)
) strict, without rowid;
create index dead_letters_by_webhook on dead_letters (organization_id, webhook_id, delivery_id);

-- How many dead letters a webhook has, so that no screen counts them: whoever adds or removes one adds or subtracts.
create table dead_letter_counts (
    organization_id blob not null,
    webhook_id blob not null,
    dead_letters integer not null,
    primary key (organization_id, webhook_id)
) strict, without rowid;

create table attempts (
    delivery_id blob not null,
    number integer not null,
    organization_id blob not null,
    started_at integer not null,
    duration_ms integer not null,
    -- JSON of domain::api::AttemptTiming.
    timing text not null,
    url text not null,
    -- JSON list of domain::api::Header, credentials masked.
    request_headers text not null,
    response_status integer,
    response_headers text not null,
    response_body blob not null,
    response_truncated integer not null,
    error text,
    error_detail text,
    primary key (delivery_id, number)
) strict, without rowid;

-- Work on many deliveries, in batches.
create table jobs (
    -- UUIDv7: also says when it was asked for.
    id blob not null primary key,
    organization_id blob not null,
    kind text not null,
    -- JSON of domain::api::JobScope.
    scope text not null,
    state text not null,
    -- It goes through the ids from `first_id` up to `end_id`, that one not included. Those from `next_id` on are still to
    -- be looked at.
    first_id blob not null,
    next_id blob not null,
    end_id blob not null,
    matched integer not null,
    done integer not null,
    -- JSON of how many were refused, by domain::api::Refusal.
    refusals text not null,
    error text,
    created_by text not null,
    finished_at integer,
    -- The node that works on it.
    node_id blob
) strict;
create index jobs_by_organization on jobs (organization_id, id);
create index jobs_running on jobs (id) where state = 'running';

create table rollups (
    organization_id blob not null,
    -- 1, 60 or 1440.
    grain_minutes integer not null,
    -- Start, in minutes since 1970.
    bucket integer not null,
    webhook_id blob not null,
    -- Which durations: domain::DurationSlot.
    slot integer not null,
    delivered integer not null,
    failed integer not null,
    duration_ms integer not null,
    primary key (organization_id, grain_minutes, bucket, webhook_id, slot)
) strict, without rowid;

create table nodes (
    id blob not null primary key,
    -- By the database's clock.
    alive_until integer not null
) strict, without rowid;

create table inspector_requests (
    id blob not null primary key,
    organization_id blob not null,
    method text not null,
    path text not null,
    headers text not null,
    body blob not null,
    truncated integer not null,
    signature text not null,
    webhook_id blob
) strict;
create index inspector_requests_by_organization on inspector_requests (organization_id, id);

create table audit (
    organization_id blob not null,
    sequence integer not null,
    id blob not null,
    at integer not null,
    actor text not null,
    action text not null,
    subject text not null,
    -- JSON list of names.
    fields text not null,
    -- SHA-256 over the entry and the hash before it.
    hash blob not null,
    primary key (organization_id, sequence)
) strict, without rowid;
