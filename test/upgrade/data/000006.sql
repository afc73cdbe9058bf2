insert into episode (place_id, finding_id, number, kind, integration_id, opened_at, fixed_at, fix_seen, severity, type,
                     ended_seen_at, ended_run_id)
values (1, 10001, 1, 'vm', 1, '2026-06-01 12:00:00+00', '2026-07-01 12:00:00+00', true, 4, 'Confirmed',
        '2026-09-01 12:00:00+00', 1)
on conflict do nothing;

insert into daily_count (day, integration_id, kind, severity, type, state, findings) values
  ('2026-09-30', 1, 'vm', 4, 'Confirmed', 'open', 2);

insert into daily_flow (day, integration_id, kind, severity, type, old_state, new_state, findings) values
  ('2026-09-30', 1, 'vm', 4, 'Confirmed', '', 'open', 2);

insert into closed_day (day, closed_at) values ('2026-09-30', '2026-10-01 01:00:00+00');

insert into event_floor (kept_from) values ('2026-09-01 00:00:00+00');
