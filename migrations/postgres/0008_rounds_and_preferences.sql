-- Checks of all integrations at once, what members want to be told, and e-mails that are sent once for each key.

-- The last round of checks of an organization. How far it came stands beside the health of what it asks.
create table check_rounds (
    organization_id uuid not null primary key references organizations (id),
    started_at bigint not null,
    started_by text not null,
    cancelled_at bigint
);

-- The round that asked for a check: when it began.
alter table integration_health add column asked_at bigint;
-- What that check found, and when: domain::health::Verdict. Null while it waits.
alter table integration_health add column answered text;
alter table integration_health add column answered_at bigint;
create index integration_health_asked on integration_health (asked_at) where asked_at is not null and answered is null;

create table notification_preferences (
    member_id uuid not null primary key references members (id) on delete cascade,
    organization_id uuid not null,
    -- JSON of domain::NotificationPreferences.
    preferences text not null
);
create index notification_preferences_by_organization on notification_preferences (organization_id);

create table email_keys (
    organization_id uuid not null,
    idempotency_key text not null,
    -- SHA-256 of what was sent with it.
    fingerprint bytea not null,
    email_id uuid not null,
    created_at bigint not null,
    primary key (organization_id, idempotency_key)
);
create index email_keys_by_age on email_keys (created_at);
