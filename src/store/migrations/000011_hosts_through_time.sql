-- Hosts through time: what identifies a machine, which host took over from which, and what became of each.

alter table host
  -- What identifies it was looked at when it was described last; false until then.
  add column identity_noted boolean not null default false,
  -- The id was given to another machine: what it found since then is not older than this.
  add column identity_since timestamptz;
-- Every list marks every host on it: with room on its page that touches no index.
alter table host set (fillfactor = 50);
create index host_left on host (integration_id, id)
  where lists_missing > 0 or removed_at is not null or out_of_scope_at is not null;
create index host_reused on host (integration_id, id) where identity_since is not null;
create index host_by_host_id on host (host_id);
create index host_by_ip on host (ip);
create index host_by_dns on host (lower(dns));
create index host_by_fqdn on host (lower(fqdn));
create index host_by_netbios on host (lower(netbios));

-- Values that belong to one machine: agent id, cloud instance, hardware UUID, serial number; in one spelling, placeholders
-- left out. A value stays when the host has another one since, and ends when the host became another machine.
create table host_identifier (
  integration_id bigint not null references integration on delete cascade,
  place_id bigint not null,
  kind text not null check (kind in ('agent', 'cloud', 'hardware', 'serial')),
  value text not null,
  noted_at timestamptz not null,
  ended_at timestamptz,
  primary key (place_id, kind, value)
);
create index host_identifier_by_value on host_identifier (integration_id, kind, value) where ended_at is null;

-- A host that left and the one that goes on as the same machine.
create table host_link (
  id bigint generated always as identity primary key,
  integration_id bigint not null references integration on delete cascade,
  old_place_id bigint not null,
  new_place_id bigint not null,
  -- successor: the new one came after the old one had gone; merged: both had been listed before.
  kind text not null check (kind in ('successor', 'merged')),
  evidence_kind text not null,
  evidence_value text not null,
  linked_at timestamptz not null,
  run_id bigint not null,
  ended_at timestamptz,
  end_reason text,
  -- What is to be done to the findings of the new host: take over what is older, or forget it first.
  due text check (due in ('inherit', 'reset')),
  unique (old_place_id, new_place_id)
);
create unique index host_link_active on host_link (old_place_id) where ended_at is null;
create index host_link_by_new on host_link (new_place_id);
create index host_link_due on host_link (integration_id, new_place_id) where due is not null;

-- What became of a host, and in which run. Nothing is written for a host about which nothing has changed.
create table host_event (
  id bigint generated always as identity,
  integration_id bigint not null references integration on delete cascade,
  place_id bigint not null,
  at timestamptz not null,
  run_id bigint not null,
  kind text not null check (kind in ('listed', 'missing', 'listed_again', 'removed', 'out_of_scope', 'back',
    'in_scope_again', 'renamed', 'readdressed', 'identity_break', 'successor_of', 'succeeded_by', 'absorbed',
    'merged_into', 'link_ended', 'lineage_unclear')),
  reason text not null,
  other_place_id bigint,
  primary key (place_id, id)
);
