-- What members keep of the lists they look at.

create table saved_views (
    organization_id uuid not null references organizations (id) on delete cascade,
    member_id uuid not null references members (id) on delete cascade,
    -- Path of the list: /deliveries.
    list text not null,
    name text not null,
    -- Filters as they stand in the address, without the question mark.
    query text not null,
    primary key (organization_id, member_id, list, name)
);

-- Where a piece of a payload stands in it, from 1; 0: nowhere. SQLite has it by this name.
create function instr(bytea, bytea) returns integer language sql immutable parallel safe as 'select position($2 in $1)';
