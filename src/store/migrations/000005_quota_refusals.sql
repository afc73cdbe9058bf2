-- What a refusal taught: that others use the subscription as well. Until the hour that is named fewer calls are made at
-- the same time; and who is refused again and again waits longer each time.

alter table quota add refusals integer not null default 0;
alter table quota add slots_max integer;
alter table quota add slots_max_until timestamptz;
