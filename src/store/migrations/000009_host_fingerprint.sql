-- What the detections of a host were when they were merged last, as one value: a host that comes with the same is not read
-- again. No row: its next answer is read.
create table host_fingerprint (
  place_id bigint primary key references host (id) on delete cascade,
  fingerprint uuid not null,
  records integer not null
) with (fillfactor = 70);
