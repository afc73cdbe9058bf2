insert into restoration (taken_at, restored_at) values ('2026-09-01 12:00:00+00', '2026-09-01 13:00:00+00');
