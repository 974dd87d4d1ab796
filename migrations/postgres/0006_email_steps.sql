-- What became of an e-mail, step by step. The e-mail itself says what it is now.

create table email_steps (
    email_id uuid not null references emails (id) on delete cascade,
    -- 1, 2, 3 …
    step bigint not null,
    at bigint not null,
    kind text not null,
    integration_id uuid,
    detail text not null,
    fault text,
    primary key (email_id, step)
);
