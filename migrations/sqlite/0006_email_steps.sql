-- What became of an e-mail, step by step. The e-mail itself says what it is now.

create table email_steps (
    email_id blob not null references emails (id) on delete cascade,
    -- 1, 2, 3 …
    step integer not null,
    at integer not null,
    kind text not null,
    integration_id blob,
    detail text not null,
    fault text,
    primary key (email_id, step)
) strict, without rowid;
