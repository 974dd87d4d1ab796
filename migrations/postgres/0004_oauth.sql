-- Connections: what accounts have granted to integrations by OAuth 2.0.

-- The database's own clock, in milliseconds: leases are judged by one clock, whatever those of the nodes say.
create view database_clock as select (extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms;

create table connections (
    integration_id uuid not null primary key references integrations (id) on delete cascade,
    organization_id uuid not null,
    status text not null,
    -- What is wrong, in words for people.
    problem text,
    account_id text,
    account_name text,
    -- Of the application: connections of one application and account may live by one grant.
    client_id text not null,
    -- JSON lists of scopes.
    requested text not null,
    granted text not null,
    -- Encrypted.
    access_token bytea,
    refresh_token bytea,
    -- JSON of texts by name: addresses found by discovery, and what the provider said beside its tokens.
    known text not null,
    -- Rises with each change of the tokens.
    generation bigint not null,
    expires_at bigint,
    consent_ends_at bigint,
    -- Null: nothing refreshes it.
    refresh_at bigint,
    failures bigint not null,
    -- Who refreshes it now, until when by the database's clock, and which of several leases it is.
    lease_node uuid,
    lease_until bigint,
    fence bigint not null,
    connected_at bigint,
    connected_by text,
    -- JSON of domain::api::SyncSettings.
    sync text not null
);
create index connections_due on connections (refresh_at) where refresh_at is not null;
create index connections_by_account on connections (organization_id, client_id, account_id);

-- Each try to refresh, written before the request is sent: one without an outcome may have spent the refresh token.
create table refreshes (
    id uuid not null primary key,
    organization_id uuid not null,
    integration_id uuid not null references connections (integration_id) on delete cascade,
    generation bigint not null,
    fence bigint not null,
    started_at bigint not null,
    -- Null: unknown.
    ok boolean,
    fault text,
    detail text not null,
    -- Encrypted tokens that arrived too late to be stored where they belong.
    orphan bytea
);
create index refreshes_by_integration on refreshes (organization_id, integration_id, id);

-- Consents that have begun: a browser has been sent to a provider and is expected back.
create table authorizations (
    -- SHA-256.
    state_hash bytea not null primary key,
    browser_hash bytea not null,
    organization_id uuid not null,
    integration_id uuid not null references integrations (id) on delete cascade,
    -- Null: whoever opened a link.
    member_id uuid,
    started_by text not null,
    provider text not null,
    -- Encrypted; null where the provider takes none.
    verifier bytea,
    redirect_uri text not null,
    -- JSON list.
    scopes text not null,
    issuer text,
    -- Whether the provider says who answers.
    says_issuer boolean not null,
    -- JSON of addresses found by discovery.
    known text not null,
    expires_at bigint not null
);

-- Links by which somebody without an account here connects theirs.
create table connect_links (
    -- SHA-256.
    token_hash bytea not null primary key,
    organization_id uuid not null,
    integration_id uuid not null references integrations (id) on delete cascade,
    -- JSON list.
    scopes text not null,
    made_by text not null,
    expires_at bigint not null
);

-- Rights that are still to be ended at their providers.
create table revocations (
    id uuid not null primary key,
    organization_id uuid not null,
    integration_id uuid not null references integrations (id) on delete cascade,
    -- Encrypted.
    token bytea not null,
    -- JSON of addresses found by discovery.
    known text not null,
    tries bigint not null,
    due_at bigint not null
);
create index revocations_due on revocations (due_at);
