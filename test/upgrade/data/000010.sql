insert into run_wait (run_id, what, cause, reason, waits, waited_ms, first_at, until_at)
select min(id), 'fo/asset/host/vm/detection', 'rate_limit', 'Qualys says that the budget of this endpoint is used up', 2, 60000,
       '2026-09-01 12:00:00+00', '2026-09-01 12:10:00+00' from run;
insert into run_call (run_id, endpoint, calls) select min(id), 'fo/asset/host/vm/detection', 12 from run;
