-- Integrations, what is known of their health, their logs, and alerts.

create table integrations (
    id blob not null primary key,
    organization_id blob not null references organizations (id),
    kind text not null,
    provider text not null,
    name text not null,
    -- JSON of domain::catalogue::Config.
    config text not null,
    -- JSON of domain::api::SecretMark by name.
    secret_marks text not null,
    -- Encrypted JSON of values by name.
    secrets blob,
    state text not null,
    -- Another integration without which this one cannot work.
    depends_on blob,
    maintenance_until integer,
    -- JSON list of domain::api::RunbookStep.
    runbook text not null,
    status_note text not null,
    version integer not null,
    created_at integer not null,
    updated_at integer not null,
    constraint integrations_name unique (organization_id, name)
) strict;
create index integrations_by_organization on integrations (organization_id, id);

-- What every result changes, apart from what people change.
create table integration_health (
    integration_id blob not null primary key references integrations (id) on delete cascade,
    organization_id blob not null,
    health text not null,
    health_since integer not null,
    bad integer not null,
    good integer not null,
    slow integer not null,
    last_checked_at integer,
    last_good_at integer,
    last_latency_ms integer,
    last_error text,
    last_fault text,
    -- Null while it is disabled: it is not checked.
    next_check_at integer,
    check_interval_s integer not null,
    -- The node that checks it now.
    node_id blob
) strict, without rowid;
create index integration_health_due on integration_health (next_check_at) where next_check_at is not null;

create table health_rollups (
    organization_id blob not null,
    integration_id blob not null,
    -- 1, 60 or 1440.
    grain_minutes integer not null,
    -- Start, in minutes since 1970.
    bucket integer not null,
    work_ok integer not null,
    work_failed integer not null,
    checks_ok integer not null,
    checks_failed integer not null,
    -- Of the good ones.
    latency_ms integer not null,
    primary key (organization_id, integration_id, grain_minutes, bucket)
) strict, without rowid;
create index health_rollups_by_age on health_rollups (grain_minutes, bucket);

create table log_entries (
    -- UUIDv7: also says when it happened.
    id blob not null primary key,
    organization_id blob not null,
    integration_id blob not null,
    level text not null,
    kind text not null,
    message text not null,
    -- JSON object of texts.
    details text not null,
    fault text
) strict, without rowid;
create index log_entries_by_integration on log_entries (organization_id, integration_id, id);
create index log_entries_by_organization on log_entries (organization_id, id);

create table alerts (
    id blob not null primary key,
    organization_id blob not null references organizations (id),
    rule text not null,
    -- An id.
    subject text not null,
    severity text not null,
    title text not null,
    detail text not null,
    impact text not null,
    state text not null,
    occurrences integer not null,
    -- Whether anybody was told: not while what it depends on is down.
    told integer not null,
    -- How often somebody was reminded.
    reminders integer not null,
    first_at integer not null,
    last_at integer not null,
    acknowledged_by text,
    snoozed_until integer,
    -- When the next reminder is due; null: none.
    remind_at integer,
    resolved_at integer
) strict;
-- One open alert for each rule and subject.
create unique index alerts_open on alerts (organization_id, rule, subject) where resolved_at is null;
create index alerts_by_organization on alerts (organization_id, id);
create index alerts_to_remind on alerts (remind_at) where remind_at is not null;

create table alert_settings (
    organization_id blob not null primary key references organizations (id),
    -- JSON of domain::AlertSettings.
    settings text not null
) strict, without rowid;

-- Messages about alerts, written with what they tell of and sent once, however many nodes there are.
create table notices (
    organization_id blob not null,
    alert_id blob not null,
    transition text not null,
    channel text not null,
    target text not null,
    -- How often this transition came: reminders repeat.
    round integer not null,
    tries integer not null,
    -- Null when it is sent or given up.
    due_at integer,
    node_id blob,
    sent_at integer,
    error text,
    primary key (alert_id, transition, channel, target, round)
) strict;
create index notices_due on notices (due_at) where due_at is not null;

-- When somebody last looked for what alerts are raised about: milliseconds.
insert into meta (name, value) values ('watched_at', '0');
