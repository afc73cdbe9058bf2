-- Which key seals the secrets of this database: its id, not the key. A process that has another key would seal what
-- nobody else can open, so it does not start.

create table key_ring (
  is_only boolean primary key default true check (is_only),
  key_id text not null,
  recorded_at timestamptz not null default now()
);
