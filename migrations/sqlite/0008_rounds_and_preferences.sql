-- Checks of all integrations at once, what members want to be told, and e-mails that are sent once for each key.

-- The last round of checks of an organization. How far it came stands beside the health of what it asks.
create table check_rounds (
    organization_id blob not null primary key references organizations (id),
    started_at integer not null,
    started_by text not null,
    cancelled_at integer
) strict, without rowid;

-- The round that asked for a check: when it began.
alter table integration_health add column asked_at integer;
-- What that check found, and when: domain::health::Verdict. Null while it waits.
alter table integration_health add column answered text;
alter table integration_health add column answered_at integer;
create index integration_health_asked on integration_health (asked_at) where asked_at is not null and answered is null;

create table notification_preferences (
    member_id blob not null primary key references members (id) on delete cascade,
    organization_id blob not null,
    -- JSON of domain::NotificationPreferences.
    preferences text not null
) strict, without rowid;
create index notification_preferences_by_organization on notification_preferences (organization_id);

create table email_keys (
    organization_id blob not null,
    idempotency_key text not null,
    -- SHA-256 of what was sent with it.
    fingerprint blob not null,
    email_id blob not null,
    created_at integer not null,
    primary key (organization_id, idempotency_key)
) strict, without rowid;
create index email_keys_by_age on email_keys (created_at);
