-- What a run waited for, so that a person can be told after its end. A row for each thing that was asked and each cause,
-- however often it waited: `waited_ms` is the length of all its waits together, overlapping ones counted once.
create table run_wait (
  run_id bigint not null references run on delete cascade,
  -- The endpoint or the module that could not be asked.
  what text not null,
  cause text not null check (cause in ('rate_limit', 'concurrency', 'own_share', 'own_slots', 'trouble')),
  reason text not null,
  waits integer not null default 1,
  waited_ms bigint not null,
  first_at timestamptz not null,
  until_at timestamptz not null,
  primary key (run_id, what, cause)
);

-- How many calls of which endpoint a run has made.
create table run_call (
  run_id bigint not null references run on delete cascade,
  endpoint text not null,
  calls integer not null,
  primary key (run_id, endpoint)
);

-- Hosts that an answer left out and of which nothing was expected: that is how Qualys says that there is nothing.
alter table batch add column empty_hosts integer not null default 0;
