-- Integrations, what is known of their health, their logs, and alerts.

create table integrations (
    id uuid not null primary key,
    organization_id uuid not null references organizations (id),
    kind text not null,
    provider text not null,
    name text not null,
    -- JSON of domain::catalogue::Config.
    config text not null,
    -- JSON of domain::api::SecretMark by name.
    secret_marks text not null,
    -- Encrypted JSON of values by name.
    secrets bytea,
    state text not null,
    -- Another integration without which this one cannot work.
    depends_on uuid,
    maintenance_until bigint,
    -- JSON list of domain::api::RunbookStep.
    runbook text not null,
    status_note text not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    constraint integrations_name unique (organization_id, name)
);
create index integrations_by_organization on integrations (organization_id, id);

-- What every result changes, apart from what people change.
create table integration_health (
    integration_id uuid not null primary key references integrations (id) on delete cascade,
    organization_id uuid not null,
    health text not null,
    health_since bigint not null,
    bad bigint not null,
    good bigint not null,
    slow bigint not null,
    last_checked_at bigint,
    last_good_at bigint,
    last_latency_ms bigint,
    last_error text,
    last_fault text,
    -- Null while it is disabled: it is not checked.
    next_check_at bigint,
    check_interval_s bigint not null,
    -- The node that checks it now.
    node_id uuid
);
create index integration_health_due on integration_health (next_check_at) where next_check_at is not null;

create table health_rollups (
    organization_id uuid not null,
    integration_id uuid not null,
    -- 1, 60 or 1440.
    grain_minutes bigint not null,
    -- Start, in minutes since 1970.
    bucket bigint not null,
    work_ok bigint not null,
    work_failed bigint not null,
    checks_ok bigint not null,
    checks_failed bigint not null,
    -- Of the good ones.
    latency_ms bigint not null,
    primary key (organization_id, integration_id, grain_minutes, bucket)
);
create index health_rollups_by_age on health_rollups (grain_minutes, bucket);

create table log_entries (
    -- UUIDv7: also says when it happened.
    id uuid not null primary key,
    organization_id uuid not null,
    integration_id uuid not null,
    level text not null,
    kind text not null,
    message text not null,
    -- JSON object of texts.
    details text not null,
    fault text
);
create index log_entries_by_integration on log_entries (organization_id, integration_id, id);
create index log_entries_by_organization on log_entries (organization_id, id);

create table alerts (
    id uuid not null primary key,
    organization_id uuid not null references organizations (id),
    rule text not null,
    -- An id.
    subject text not null,
    severity text not null,
    title text not null,
    detail text not null,
    impact text not null,
    state text not null,
    occurrences bigint not null,
    -- Whether anybody was told: not while what it depends on is down.
    told boolean not null,
    -- How often somebody was reminded.
    reminders bigint not null,
    first_at bigint not null,
    last_at bigint not null,
    acknowledged_by text,
    snoozed_until bigint,
    -- When the next reminder is due; null: none.
    remind_at bigint,
    resolved_at bigint
);
-- One open alert for each rule and subject.
create unique index alerts_open on alerts (organization_id, rule, subject) where resolved_at is null;
create index alerts_by_organization on alerts (organization_id, id);
create index alerts_to_remind on alerts (remind_at) where remind_at is not null;

create table alert_settings (
    organization_id uuid not null primary key references organizations (id),
    -- JSON of domain::AlertSettings.
    settings text not null
);

-- Messages about alerts, written with what they tell of and sent once, however many nodes there are.
create table notices (
    organization_id uuid not null,
    alert_id uuid not null,
    transition text not null,
    channel text not null,
    target text not null,
    -- How often this transition came: reminders repeat.
    round bigint not null,
    tries bigint not null,
    -- Null when it is sent or given up.
    due_at bigint,
    node_id uuid,
    sent_at bigint,
    error text,
    primary key (alert_id, transition, channel, target, round)
);
create index notices_due on notices (due_at) where due_at is not null;

-- When somebody last looked for what alerts are raised about: milliseconds.
insert into meta (name, value) values ('watched_at', '0');
