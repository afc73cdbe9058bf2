-- History that outlives its events: episodes that are over, counts of days that are over, and up to where events are gone.

-- An episode is the time from an opening to the fix. The current one stands on the finding; when the next one begins, the
-- one before is kept here.
create table episode (
  place_id bigint not null,
  finding_id bigint not null,
  -- Counts from the first opening that the source knows; a hole means that one came and went unseen.
  number integer not null,
  kind text not null,
  integration_id bigint not null,
  opened_at timestamptz,
  -- Null: the source says that it was fixed, but not when.
  fixed_at timestamptz,
  -- False: it was fixed and found again between two pulls.
  fix_seen boolean not null,
  -- As they were at its end.
  severity smallint,
  type text,
  -- When the episode after it was seen, and in which run.
  ended_seen_at timestamptz not null,
  ended_run_id bigint,
  primary key (place_id, finding_id, number)
);

insert into episode (place_id, finding_id, number, kind, integration_id, opened_at, fixed_at, fix_seen, severity, type,
                     ended_seen_at, ended_run_id)
select t.place_id, t.finding_id, greatest(f.times_reopened - t.ends, 0) + t.nth, f.kind, f.integration_id,
       case when t.nth > 1 then t.opened_at when f.times_reopened <= t.ends then f.first_found_effective_at end,
       t.fixed_at, t.fix_reason is distinct from 'The source fixed it and found it again between two pulls.',
       f.severity, f.type, t.seen_at, t.run_id
  from (select turn.*,
               row_number() over (partition by place_id, finding_id order by seen_at, id) as nth,
               count(*) over (partition by place_id, finding_id) as ends
          from (select place_id, finding_id, seen_at, id, run_id, old_state,
                       lag(happened_at) over by_time as fixed_at,
                       lag(reason) over by_time as fix_reason,
                       lag(happened_at, 2) over by_time as opened_at
                  from event
                 where old_state = 'fixed' or new_state = 'fixed'
                window by_time as (partition by place_id, finding_id order by seen_at, id)) as turn
         where old_state = 'fixed') as t
  join finding f on f.kind = 'vm' and f.place_id = t.place_id and f.id = t.finding_id;

-- What was known at the end of a UTC day that is over. Severity 0 and the type '' stand for "not known".
create table daily_count (
  day date not null,
  integration_id bigint not null,
  kind text not null,
  severity smallint not null,
  type text not null,
  state text not null,
  findings bigint not null,
  primary key (day, integration_id, kind, severity, type, state)
);

-- What changed on it; the old state '' stands for a first sight.
create table daily_flow (
  day date not null,
  integration_id bigint not null,
  kind text not null,
  severity smallint not null,
  type text not null,
  old_state text not null,
  new_state text not null,
  findings bigint not null,
  primary key (day, integration_id, kind, severity, type, old_state, new_state)
);

-- Which days stand in the two tables above: a day on which there was nothing has no row in them.
create table closed_day (
  day date primary key,
  closed_at timestamptz not null
);

-- Events from before this have been dropped.
create table event_floor (
  is_only boolean primary key default true check (is_only),
  kept_from timestamptz not null
);
