insert into host_identifier (integration_id, place_id, kind, value, noted_at, ended_at) values
  (1, 1, 'serial', 'OLD-4711', '2026-10-01 12:00:00+00', '2026-10-01 13:00:00+00'),
  (1, 2, 'agent', '6f9619ff8b86d011b42d00c04fc964ff', '2026-10-01 13:00:00+00', null);

insert into host_link (id, integration_id, old_place_id, new_place_id, kind, evidence_kind, evidence_value, linked_at, run_id, ended_at, end_reason) overriding system value values
  (1, 1, 1, 2, 'successor', 'agent', '6f9619ff8b86d011b42d00c04fc964ff', '2026-10-01 13:00:00+00', 2, '2026-10-01 13:00:00+00', 'The earlier host is listed again.');
select setval(pg_get_serial_sequence('host_link', 'id'), 1);

insert into host_event (id, integration_id, place_id, at, run_id, kind, reason, other_place_id) overriding system value values
  (1, 1, 1, '2026-10-01 12:00:00+00', 1, 'listed', 'On a complete list for the first time.', null),
  (2, 1, 2, '2026-10-01 13:00:00+00', 2, 'successor_of', 'It took over from host 1001.', 1);
select setval(pg_get_serial_sequence('host_event', 'id'), 2);
