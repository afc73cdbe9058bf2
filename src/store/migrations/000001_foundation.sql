-- The foundation: integrations and their secrets, the run with its ledger, hosts, findings with their history, the
-- knowledge base, and tickets with their outbox. Large tables carry place_id in their keys, so that they can be
-- distributed by it one day; `uuid` holds 128-bit hashes, because it is 16 bytes and nothing else.

create table integration (
  id bigint generated always as identity primary key,
  type text not null,
  subtype text not null,
  name text not null unique,
  config jsonb not null,
  is_enabled boolean not null default true,
  -- NEW, OK, NEEDS_ATTENTION; the message says what to do.
  status text not null default 'NEW',
  status_message text,
  -- Which Qualys subscription's budget its calls are taken from.
  subscription text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table integration_secret (
  integration_id bigint not null references integration on delete cascade,
  field text not null,
  sealed text not null,
  updated_at timestamptz not null default now(),
  primary key (integration_id, field)
);

-- One run at a time per integration. The epoch grows with every taking and fences whoever lost the lease.
create table lease (
  integration_id bigint primary key references integration on delete cascade,
  epoch bigint not null,
  holder text,
  expires_at timestamptz not null
);

-- What a module remembers between runs. `version` is for compare-and-swap.
create table module_state (
  integration_id bigint not null references integration on delete cascade,
  module text not null,
  version bigint not null default 1,
  watermark timestamptz,
  last_full_at timestamptz,
  cursor jsonb not null default '{}',
  primary key (integration_id, module)
);

create table run (
  id bigint generated always as identity primary key,
  integration_id bigint not null references integration on delete cascade,
  epoch bigint not null,
  trigger text not null,
  mode text not null check (mode in ('full', 'delta')),
  mode_reason text not null,
  state text not null default 'RUNNING' check (state in ('RUNNING', 'COMPLETE', 'PARTIAL', 'FAILED', 'CANCELLED')),
  phase text not null default 'listing' check (phase in ('listing', 'fetching', 'knowledge', 'finishing', 'done')),
  options jsonb not null default '{}',
  scope jsonb not null,
  scope_drift text,
  -- The server's own time in the first answer of the run; minus the overlap it becomes the watermark.
  server_started_at timestamptz,
  watermark_from timestamptz,
  watermark_to timestamptz,
  visible_hosts integer,
  expected_hosts integer,
  message text,
  waiting_until timestamptz,
  waiting_reason text,
  started_at timestamptz not null,
  finished_at timestamptz,
  -- Null after the end: whoever should have decided about its tickets died before.
  tickets_planned_at timestamptz
);
create index run_by_integration on run (integration_id, id desc);
create unique index run_one_at_a_time on run (integration_id) where state = 'RUNNING';

-- The queue and the ledger in one: what was asked for, who has it, what came.
create table batch (
  id bigint generated always as identity primary key,
  run_id bigint not null references run on delete cascade,
  integration_id bigint not null,
  module text not null,
  purpose text not null default 'expected' check (purpose in ('expected', 'asked_again')),
  host_ids bigint[] not null,
  options jsonb not null default '{}',
  state text not null default 'waiting' check (state in ('waiting', 'claimed', 'done', 'split', 'owed', 'cancelled')),
  attempt integer not null default 0,
  failures integer not null default 0,
  claimed_by text,
  claim_expires_at timestamptz,
  not_before timestamptz not null default '-infinity',
  parent_id bigint,
  received_hosts integer not null default 0,
  received_records integer not null default 0,
  unexpected_hosts integer not null default 0,
  new_records integer not null default 0,
  changed_records integer not null default 0,
  seen_records integer not null default 0,
  unchanged_records integer not null default 0,
  older_records integer not null default 0,
  quarantined_records integer not null default 0,
  missing_records integer not null default 0,
  stale_records integer not null default 0,
  repaired_chars integer not null default 0,
  bytes bigint not null default 0,
  duration_ms integer,
  error text,
  finished_at timestamptz
);
create index batch_by_run on batch (run_id, id);
create index batch_queue on batch (integration_id, not_before, id) where state in ('waiting', 'claimed');

-- One thing that was expected and is still owed. `place_id` is set where a place's findings are not known.
create table gap (
  id bigint generated always as identity primary key,
  integration_id bigint not null references integration on delete cascade,
  kind text not null check (kind in ('host', 'qid', 'record')),
  key text not null,
  place_id bigint,
  reason text not null,
  since timestamptz not null,
  first_run_id bigint,
  last_run_id bigint,
  tries integer not null default 1,
  next_try_at timestamptz,
  settled_at timestamptz,
  settled_run_id bigint
);
create unique index gap_open on gap (integration_id, kind, key) where settled_at is null;
create index gap_open_place on gap (place_id) where settled_at is null;

create table quarantine (
  id bigint generated always as identity primary key,
  integration_id bigint not null references integration on delete cascade,
  run_id bigint not null,
  batch_id bigint,
  host_id text,
  qid text,
  reason text not null,
  raw text not null,
  at timestamptz not null
);
create index quarantine_by_run on quarantine (run_id, id);

-- The shared budget of one subscription and endpoint.
create table quota (
  subscription text not null,
  endpoint text not null,
  calls_max integer,
  window_sec integer,
  calls_remaining integer,
  concurrency_max integer,
  not_before timestamptz,
  not_before_reason text,
  reported_at timestamptz,
  primary key (subscription, endpoint)
);

create table quota_call (
  subscription text not null,
  endpoint text not null,
  called_at timestamptz not null
);
create index quota_call_window on quota_call (subscription, endpoint, called_at);

create table slot (
  id bigint generated always as identity primary key,
  subscription text not null,
  endpoint text not null,
  holder text not null,
  expires_at timestamptz not null
);
create index slot_by_endpoint on slot (subscription, endpoint);

create table tag (
  integration_id bigint not null references integration on delete cascade,
  tag_id bigint not null,
  name text not null,
  parent_id bigint,
  rule_type text,
  criticality integer,
  primary key (integration_id, tag_id)
);

create table host (
  id bigint generated always as identity primary key,
  integration_id bigint not null references integration on delete cascade,
  host_id bigint not null,
  asset_id bigint,
  ip text,
  ipv6 text,
  tracking_method text,
  network_id text,
  os text,
  os_cpe text,
  dns text,
  fqdn text,
  netbios text,
  agent_id text,
  cloud_provider text,
  cloud_service text,
  cloud_resource_id text,
  serial_number text,
  hardware_uuid text,
  owner text,
  trurisk integer,
  criticality integer,
  first_found_at timestamptz,
  last_activity_at timestamptz,
  last_scan_at timestamptz,
  last_vm_scanned_at timestamptz,
  last_vm_auth_scanned_at timestamptz,
  last_pc_scanned_at timestamptz,
  extra jsonb,
  -- Presence, known only from complete id lists.
  first_listed_at timestamptz not null,
  last_listed_at timestamptz not null,
  last_listed_run_id bigint,
  last_listed_scope text not null,
  lists_missing integer not null default 0,
  removed_at timestamptz,
  out_of_scope_at timestamptz,
  unique (integration_id, host_id)
);

create table host_tag (
  integration_id bigint not null references integration on delete cascade,
  place_id bigint not null,
  tag_id bigint not null,
  primary key (place_id, tag_id)
);
create index host_tag_by_tag on host_tag (integration_id, tag_id);

-- Finding ids are handed out in blocks of 10,000: a writer knows the ids of its rows before they are copied in.
create sequence finding_id_block as bigint;

create table finding (
  id bigint not null,
  kind text not null,
  integration_id bigint not null,
  place_id bigint not null,
  issue_key text not null,
  identity uuid not null,
  source_key text,
  type text,
  severity smallint,
  qds smallint,
  source_status text,
  state text not null check (state in ('open', 'fixed', 'suppressed', 'accepted', 'stale', 'out_of_scope', 'host_removed')),
  ignored boolean,
  disabled boolean,
  missing_since timestamptz,
  accepted_until timestamptz,
  first_found_at timestamptz,
  first_found_effective_at timestamptz,
  opened_at timestamptz,
  fixed_at timestamptz,
  times_reopened integer not null default 0,
  last_fixed_at timestamptz,
  last_reopened_at timestamptz,
  port integer,
  protocol text,
  ssl boolean,
  fqdn text,
  instance text,
  service text,
  affect_running_kernel boolean,
  affect_running_service boolean,
  affect_exploitable_config boolean,
  evidence_hash uuid,
  extra jsonb,
  first_run_id bigint not null,
  changed_run_id bigint not null,
  primary key (kind, place_id, id),
  unique (kind, integration_id, place_id, identity)
) partition by list (kind);
create table finding_vm partition of finding for values in ('vm');
create index finding_vm_open_issue on finding_vm (issue_key, place_id, id) where state = 'open';

-- 1:1 with finding: what changes with every scan. No index on its changing columns and room on each page, so that an
-- update stays on its page and touches no index. The two hashes stand here, so that comparing reads this table only.
create table observation (
  place_id bigint not null,
  finding_id bigint not null,
  identity uuid not null,
  state_hash uuid not null,
  volatile_hash bigint not null,
  last_found_at timestamptz,
  last_test_at timestamptz,
  last_update_at timestamptz,
  last_processed_at timestamptz,
  times_found integer,
  run_id bigint not null,
  primary key (place_id, finding_id)
) with (fillfactor = 70);

create table evidence (
  hash uuid primary key,
  body text not null
);

-- One transition of one finding after its first sight.
create table event (
  id bigint generated always as identity,
  seen_at timestamptz not null,
  kind text not null,
  integration_id bigint not null,
  place_id bigint not null,
  finding_id bigint not null,
  happened_at timestamptz,
  run_id bigint,
  old_state text not null,
  new_state text not null,
  old_source_status text,
  new_source_status text,
  reason text not null,
  primary key (place_id, seen_at, id)
) partition by range (seen_at);
create table event_default partition of event default;
create index event_by_finding on event (place_id, finding_id, seen_at);
create index event_by_run on event (run_id);

-- Where an attempt at a batch puts its rows until they are merged in one transaction.
create unlogged table finding_staging (
  batch_id bigint not null,
  attempt integer not null,
  -- n: a new finding; c: changed state; v: only volatile fields are newer.
  op "char" not null,
  id bigint not null,
  place_id bigint not null,
  issue_key text,
  identity uuid not null,
  source_key text,
  type text,
  severity smallint,
  qds smallint,
  source_status text,
  state text,
  ignored boolean,
  disabled boolean,
  missing_since timestamptz,
  accepted_until timestamptz,
  first_found_at timestamptz,
  first_found_effective_at timestamptz,
  opened_at timestamptz,
  fixed_at timestamptz,
  times_reopened integer,
  last_fixed_at timestamptz,
  last_reopened_at timestamptz,
  port integer,
  protocol text,
  ssl boolean,
  fqdn text,
  instance text,
  service text,
  affect_running_kernel boolean,
  affect_running_service boolean,
  affect_exploitable_config boolean,
  evidence_hash uuid,
  extra jsonb,
  state_hash uuid not null,
  volatile_hash bigint not null,
  last_found_at timestamptz,
  last_test_at timestamptz,
  last_update_at timestamptz,
  last_processed_at timestamptz,
  times_found integer,
  -- For the events: why, when it happened, and a fix that came and went between two observations.
  reason text,
  happened_at timestamptz,
  fixed_between_at timestamptz
);
create index finding_staging_key on finding_staging (batch_id, attempt);

create unlogged table evidence_staging (
  batch_id bigint not null,
  attempt integer not null,
  hash uuid not null,
  body text not null
);
create index evidence_staging_key on evidence_staging (batch_id, attempt);

create table vulnerability (
  integration_id bigint not null references integration on delete cascade,
  qid bigint not null,
  issue_key text not null generated always as (qid::text) stored,
  -- False: the knowledge base does not know this QID; it is asked for again later.
  is_known boolean not null,
  type text,
  severity smallint,
  title text,
  category text,
  patchable boolean,
  -- What one patch is: the sorted set of its vendor references, or the QID alone.
  patch_key text not null,
  published_at timestamptz,
  last_modified_at timestamptz,
  code_modified_at timestamptz,
  patch_published_at timestamptz,
  diagnosis_html text,
  consequence_html text,
  solution_html text,
  cvss_v2 jsonb,
  cvss_v3 jsonb,
  pci boolean,
  disabled boolean,
  discovery_remote boolean,
  software jsonb not null default '[]',
  threat_intel jsonb not null default '[]',
  extra jsonb,
  -- Of the fields that tickets show.
  content_hash text not null default '',
  fetched_at timestamptz not null,
  primary key (integration_id, qid),
  unique (integration_id, issue_key)
);
create index vulnerability_by_patch on vulnerability (integration_id, patch_key);

create table vulnerability_cve (
  integration_id bigint not null,
  qid bigint not null,
  cve text not null,
  url text,
  primary key (integration_id, qid, cve),
  foreign key (integration_id, qid) references vulnerability on delete cascade
);
create index vulnerability_by_cve on vulnerability_cve (cve);

create table vulnerability_reference (
  integration_id bigint not null,
  qid bigint not null,
  reference text not null,
  url text,
  primary key (integration_id, qid, reference),
  foreign key (integration_id, qid) references vulnerability on delete cascade
);

create table ticket_rule (
  id bigint generated always as identity primary key,
  name text not null unique,
  kind text not null,
  source_integration_id bigint not null references integration on delete cascade,
  target_integration_id bigint not null references integration on delete cascade,
  filter jsonb not null,
  group_by text[] not null,
  policy jsonb not null,
  -- Off until a person has seen its preview.
  is_enabled boolean not null default false,
  last_error text,
  created_at timestamptz not null default now()
);

create table ticket (
  id bigint generated always as identity primary key,
  rule_id bigint not null references ticket_rule on delete cascade,
  group_key text not null,
  -- The group key that the ticket was made for; the label is derived from it and stays when the group is re-keyed.
  original_key text not null,
  -- A recurrence after the reopen window is a new ticket with the next generation.
  generation integer not null default 1,
  hash_label text not null unique,
  state text not null check (state in ('planned', 'creating', 'unknown', 'open', 'closed', 'review')),
  attempt_id uuid,
  unknown_since timestamptz,
  issue_id bigint,
  issue_key text,
  url text,
  summary text not null,
  -- Of everything its text is made from, so that an unchanged ticket costs nothing.
  inputs_hash text not null,
  -- The fields as Patchbay wrote them last: what differs by now was changed by a person.
  written jsonb not null default '{}',
  review_reason text,
  previous_ticket_id bigint references ticket,
  created_at timestamptz not null,
  pushed_at timestamptz,
  closed_at timestamptz,
  unique (rule_id, original_key, generation)
);

create index ticket_by_group on ticket (rule_id, group_key, generation);

create table ticket_finding (
  ticket_id bigint not null references ticket on delete cascade,
  place_id bigint not null,
  finding_id bigint not null,
  -- The state as the ticket last told it.
  told_state text not null,
  joined_at timestamptz not null,
  primary key (ticket_id, place_id, finding_id)
);
create index ticket_finding_by_finding on ticket_finding (place_id, finding_id);

create table outbox (
  id bigint generated always as identity primary key,
  ticket_id bigint not null references ticket on delete cascade,
  op text not null check (op in ('create', 'update', 'comment', 'close', 'reopen', 'link')),
  payload jsonb not null,
  reason text not null,
  state text not null default 'waiting' check (state in ('waiting', 'sending', 'done', 'failed', 'cancelled')),
  tries integer not null default 0,
  not_before timestamptz not null default '-infinity',
  claimed_by text,
  claim_expires_at timestamptz,
  error text,
  run_id bigint,
  created_at timestamptz not null,
  done_at timestamptz
);
create index outbox_queue on outbox (ticket_id, id) where state in ('waiting', 'sending');
create index outbox_by_ticket on outbox (ticket_id, id);
