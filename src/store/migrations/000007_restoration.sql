-- Each time this database was restored from a backup. What the hub had done between the backup and the restore is not in
-- here: the far side may have tickets that this database knows nothing of.

create table restoration (
  id bigint generated always as identity primary key,
  taken_at timestamptz not null,
  restored_at timestamptz not null
);
