-- What members keep of the lists they look at.

create table saved_views (
    organization_id blob not null references organizations (id) on delete cascade,
    member_id blob not null references members (id) on delete cascade,
    -- Path of the list: /deliveries.
    list text not null,
    name text not null,
    -- Filters as they stand in the address, without the question mark.
    query text not null,
    primary key (organization_id, member_id, list, name)
) strict, without rowid;
