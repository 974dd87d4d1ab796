-- E-mails, their templates, and who does not want them.

create table emails (
    id blob not null primary key,
    organization_id blob not null references organizations (id),
    -- The integration that is to send it, or has sent it.
    integration_id blob,
    -- In small letters.
    recipient text not null,
    subject text not null,
    template text,
    category text,
    -- JSON of domain::api::RenderedEmail.
    content text not null,
    allow_duplicate integer not null,
    state text not null,
    tries integer not null,
    -- Null when it is not tried any more.
    next_try_at integer,
    node_id blob,
    detail text not null,
    fault text,
    -- It was sent again although an earlier try may have arrived.
    possibly_duplicated integer not null,
    -- It may have arrived, although no reply said so.
    possibly_sent integer not null,
    sent_at integer,
    delivered_at integer
) strict;
create index emails_by_organization on emails (organization_id, id);
create index emails_by_recipient on emails (organization_id, recipient, id);
create index emails_due on emails (next_try_at) where next_try_at is not null;

create table email_templates (
    id blob not null primary key,
    organization_id blob not null references organizations (id),
    name text not null,
    subject text not null,
    text_body text not null,
    html_body text not null,
    category text,
    created_at integer not null,
    updated_at integer not null,
    constraint email_templates_name unique (organization_id, name)
) strict;

-- Addresses to which nothing is sent.
create table suppressions (
    organization_id blob not null references organizations (id),
    email text not null,
    reason text not null,
    detail text not null,
    created_at integer not null,
    primary key (organization_id, email)
) strict, without rowid;

-- Categories that recipients do not want; '*' is all of them.
create table email_preferences (
    organization_id blob not null references organizations (id),
    email text not null,
    category text not null,
    unsubscribed_at integer not null,
    primary key (organization_id, email, category)
) strict, without rowid;

-- What was sent through an integration in an hour and on a day.
create table email_usage (
    integration_id blob not null,
    -- 60 or 1440.
    grain_minutes integer not null,
    -- Start, in minutes since 1970.
    bucket integer not null,
    sent integer not null,
    primary key (integration_id, grain_minutes, bucket)
) strict, without rowid;
