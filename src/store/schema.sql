-- Generated from the catalogue of a migrated database. Do not edit: change a migration instead.

create sequence finding_id_block as bigint increment 1 minvalue 1 maxvalue 9223372036854775807 start 1 cache 1;

create table batch (
  id bigint generated always as identity not null,
  run_id bigint not null,
  integration_id bigint not null,
  module text not null,
  purpose text default 'expected'::text not null,
  host_ids bigint[] not null,
  options jsonb default '{}'::jsonb not null,
  state text default 'waiting'::text not null,
  attempt integer default 0 not null,
  failures integer default 0 not null,
  claimed_by text,
  claim_expires_at timestamp with time zone,
  not_before timestamp with time zone default '-infinity'::timestamp with time zone not null,
  parent_id bigint,
  received_hosts integer default 0 not null,
  received_records integer default 0 not null,
  unexpected_hosts integer default 0 not null,
  new_records integer default 0 not null,
  changed_records integer default 0 not null,
  seen_records integer default 0 not null,
  unchanged_records integer default 0 not null,
  older_records integer default 0 not null,
  quarantined_records integer default 0 not null,
  missing_records integer default 0 not null,
  stale_records integer default 0 not null,
  repaired_chars integer default 0 not null,
  bytes bigint default 0 not null,
  duration_ms integer,
  error text,
  finished_at timestamp with time zone,
  collided_records integer default 0 not null,
  empty_hosts integer default 0 not null,
  constraint batch_pkey PRIMARY KEY (id),
  constraint batch_run_id_fkey FOREIGN KEY (run_id) REFERENCES run(id) ON DELETE CASCADE,
  constraint batch_purpose_check CHECK (purpose = ANY (ARRAY['expected'::text, 'asked_again'::text])),
  constraint batch_state_check CHECK (state = ANY (ARRAY['waiting'::text, 'claimed'::text, 'done'::text, 'split'::text, 'owed'::text, 'cancelled'::text]))
);
CREATE INDEX batch_by_run ON batch USING btree (run_id, id);
CREATE INDEX batch_queue ON batch USING btree (integration_id, not_before, id) WHERE state = ANY (ARRAY['waiting'::text, 'claimed'::text]);

create table closed_day (
  day date not null,
  closed_at timestamp with time zone not null,
  constraint closed_day_pkey PRIMARY KEY (day)
);

create table daily_count (
  day date not null,
  integration_id bigint not null,
  kind text not null,
  severity smallint not null,
  type text not null,
  state text not null,
  findings bigint not null,
  constraint daily_count_pkey PRIMARY KEY (day, integration_id, kind, severity, type, state)
);

create table daily_flow (
  day date not null,
  integration_id bigint not null,
  kind text not null,
  severity smallint not null,
  type text not null,
  old_state text not null,
  new_state text not null,
  findings bigint not null,
  constraint daily_flow_pkey PRIMARY KEY (day, integration_id, kind, severity, type, old_state, new_state)
);

create table episode (
  place_id bigint not null,
  finding_id bigint not null,
  number integer not null,
  kind text not null,
  integration_id bigint not null,
  opened_at timestamp with time zone,
  fixed_at timestamp with time zone,
  fix_seen boolean not null,
  severity smallint,
  type text,
  ended_seen_at timestamp with time zone not null,
  ended_run_id bigint,
  constraint episode_pkey PRIMARY KEY (place_id, finding_id, number)
);

create table event (
  id bigint generated always as identity not null,
  seen_at timestamp with time zone not null,
  kind text not null,
  integration_id bigint not null,
  place_id bigint not null,
  finding_id bigint not null,
  happened_at timestamp with time zone,
  run_id bigint,
  old_state text not null,
  new_state text not null,
  old_source_status text,
  new_source_status text,
  reason text not null,
  constraint event_pkey PRIMARY KEY (place_id, seen_at, id)
) partition by RANGE (seen_at);
CREATE INDEX event_by_finding ON event USING btree (place_id, finding_id, seen_at);
CREATE INDEX event_by_run ON event USING btree (run_id);

create table event_default partition of event DEFAULT;

create table event_floor (
  is_only boolean default true not null,
  kept_from timestamp with time zone not null,
  constraint event_floor_pkey PRIMARY KEY (is_only),
  constraint event_floor_is_only_check CHECK (is_only)
);

create table evidence (
  hash uuid not null,
  body text not null,
  constraint evidence_pkey PRIMARY KEY (hash)
);

create table evidence_orphan (
  hash uuid not null,
  is_confirmed boolean default false not null,
  constraint evidence_orphan_pkey PRIMARY KEY (hash)
);

create unlogged table evidence_staging (
  batch_id bigint not null,
  attempt integer not null,
  hash uuid not null,
  body text not null
);
CREATE INDEX evidence_staging_key ON evidence_staging USING btree (batch_id, attempt);

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
  state text not null,
  ignored boolean,
  disabled boolean,
  missing_since timestamp with time zone,
  accepted_until timestamp with time zone,
  first_found_at timestamp with time zone,
  first_found_effective_at timestamp with time zone,
  opened_at timestamp with time zone,
  fixed_at timestamp with time zone,
  times_reopened integer default 0 not null,
  last_fixed_at timestamp with time zone,
  last_reopened_at timestamp with time zone,
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
  constraint finding_pkey PRIMARY KEY (kind, place_id, id),
  constraint finding_kind_integration_id_place_id_identity_key UNIQUE (kind, integration_id, place_id, identity),
  constraint finding_state_check CHECK (state = ANY (ARRAY['open'::text, 'fixed'::text, 'suppressed'::text, 'accepted'::text, 'stale'::text, 'out_of_scope'::text, 'host_removed'::text]))
) partition by LIST (kind);

create table finding_vm partition of finding FOR VALUES IN ('vm');
CREATE INDEX finding_vm_open_issue ON finding_vm USING btree (issue_key, place_id, id) WHERE state = 'open'::text;

create unlogged table finding_staging (
  batch_id bigint not null,
  attempt integer not null,
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
  missing_since timestamp with time zone,
  accepted_until timestamp with time zone,
  first_found_at timestamp with time zone,
  first_found_effective_at timestamp with time zone,
  opened_at timestamp with time zone,
  fixed_at timestamp with time zone,
  times_reopened integer,
  last_fixed_at timestamp with time zone,
  last_reopened_at timestamp with time zone,
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
  last_found_at timestamp with time zone,
  last_test_at timestamp with time zone,
  last_update_at timestamp with time zone,
  last_processed_at timestamp with time zone,
  times_found integer,
  reason text,
  happened_at timestamp with time zone,
  fixed_between_at timestamp with time zone
);
CREATE INDEX finding_staging_key ON finding_staging USING btree (batch_id, attempt);

create table gap (
  id bigint generated always as identity not null,
  integration_id bigint not null,
  kind text not null,
  key text not null,
  place_id bigint,
  reason text not null,
  since timestamp with time zone not null,
  first_run_id bigint,
  last_run_id bigint,
  tries integer default 1 not null,
  next_try_at timestamp with time zone,
  settled_at timestamp with time zone,
  settled_run_id bigint,
  constraint gap_pkey PRIMARY KEY (id),
  constraint gap_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE,
  constraint gap_kind_check CHECK (kind = ANY (ARRAY['host'::text, 'qid'::text, 'record'::text]))
);
CREATE UNIQUE INDEX gap_open ON gap USING btree (integration_id, kind, key) WHERE settled_at IS NULL;
CREATE INDEX gap_open_place ON gap USING btree (place_id) WHERE settled_at IS NULL;

create table host (
  id bigint generated always as identity not null,
  integration_id bigint not null,
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
  first_found_at timestamp with time zone,
  last_activity_at timestamp with time zone,
  last_scan_at timestamp with time zone,
  last_vm_scanned_at timestamp with time zone,
  last_vm_auth_scanned_at timestamp with time zone,
  last_pc_scanned_at timestamp with time zone,
  extra jsonb,
  first_listed_at timestamp with time zone not null,
  last_listed_at timestamp with time zone not null,
  last_listed_run_id bigint,
  last_listed_scope text not null,
  lists_missing integer default 0 not null,
  removed_at timestamp with time zone,
  out_of_scope_at timestamp with time zone,
  identity_noted boolean default false not null,
  identity_since timestamp with time zone,
  constraint host_pkey PRIMARY KEY (id),
  constraint host_integration_id_host_id_key UNIQUE (integration_id, host_id),
  constraint host_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE
) with (fillfactor=50);
CREATE INDEX host_by_dns ON host USING btree (lower(dns));
CREATE INDEX host_by_fqdn ON host USING btree (lower(fqdn));
CREATE INDEX host_by_host_id ON host USING btree (host_id);
CREATE INDEX host_by_ip ON host USING btree (ip);
CREATE INDEX host_by_netbios ON host USING btree (lower(netbios));
CREATE INDEX host_left ON host USING btree (integration_id, id) WHERE lists_missing > 0 OR removed_at IS NOT NULL OR out_of_scope_at IS NOT NULL;
CREATE INDEX host_reused ON host USING btree (integration_id, id) WHERE identity_since IS NOT NULL;

create table host_event (
  id bigint generated always as identity not null,
  integration_id bigint not null,
  place_id bigint not null,
  at timestamp with time zone not null,
  run_id bigint not null,
  kind text not null,
  reason text not null,
  other_place_id bigint,
  constraint host_event_pkey PRIMARY KEY (place_id, id),
  constraint host_event_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE,
  constraint host_event_kind_check CHECK (kind = ANY (ARRAY['listed'::text, 'missing'::text, 'listed_again'::text, 'removed'::text, 'out_of_scope'::text, 'back'::text, 'in_scope_again'::text, 'renamed'::text, 'readdressed'::text, 'identity_break'::text, 'successor_of'::text, 'succeeded_by'::text, 'absorbed'::text, 'merged_into'::text, 'link_ended'::text, 'lineage_unclear'::text]))
);

create table host_fingerprint (
  place_id bigint not null,
  fingerprint uuid not null,
  records integer not null,
  constraint host_fingerprint_pkey PRIMARY KEY (place_id),
  constraint host_fingerprint_place_id_fkey FOREIGN KEY (place_id) REFERENCES host(id) ON DELETE CASCADE
) with (fillfactor=70);

create table host_identifier (
  integration_id bigint not null,
  place_id bigint not null,
  kind text not null,
  value text not null,
  noted_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  constraint host_identifier_pkey PRIMARY KEY (place_id, kind, value),
  constraint host_identifier_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE,
  constraint host_identifier_kind_check CHECK (kind = ANY (ARRAY['agent'::text, 'cloud'::text, 'hardware'::text, 'serial'::text]))
);
CREATE INDEX host_identifier_by_value ON host_identifier USING btree (integration_id, kind, value) WHERE ended_at IS NULL;

create table host_link (
  id bigint generated always as identity not null,
  integration_id bigint not null,
  old_place_id bigint not null,
  new_place_id bigint not null,
  kind text not null,
  evidence_kind text not null,
  evidence_value text not null,
  linked_at timestamp with time zone not null,
  run_id bigint not null,
  ended_at timestamp with time zone,
  end_reason text,
  due text,
  constraint host_link_pkey PRIMARY KEY (id),
  constraint host_link_old_place_id_new_place_id_key UNIQUE (old_place_id, new_place_id),
  constraint host_link_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE,
  constraint host_link_due_check CHECK (due = ANY (ARRAY['inherit'::text, 'reset'::text])),
  constraint host_link_kind_check CHECK (kind = ANY (ARRAY['successor'::text, 'merged'::text]))
);
CREATE UNIQUE INDEX host_link_active ON host_link USING btree (old_place_id) WHERE ended_at IS NULL;
CREATE INDEX host_link_by_new ON host_link USING btree (new_place_id);
CREATE INDEX host_link_due ON host_link USING btree (integration_id, new_place_id) WHERE due IS NOT NULL;

create table host_tag (
  integration_id bigint not null,
  place_id bigint not null,
  tag_id bigint not null,
  constraint host_tag_pkey PRIMARY KEY (place_id, tag_id),
  constraint host_tag_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE
);
CREATE INDEX host_tag_by_tag ON host_tag USING btree (integration_id, tag_id);

create table integration (
  id bigint generated always as identity not null,
  type text not null,
  subtype text not null,
  name text not null,
  config jsonb not null,
  is_enabled boolean default true not null,
  status text default 'NEW'::text not null,
  status_message text,
  subscription text,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint integration_pkey PRIMARY KEY (id),
  constraint integration_name_key UNIQUE (name)
);

create table integration_secret (
  integration_id bigint not null,
  field text not null,
  sealed text not null,
  updated_at timestamp with time zone default now() not null,
  constraint integration_secret_pkey PRIMARY KEY (integration_id, field),
  constraint integration_secret_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE
);

create table key_ring (
  is_only boolean default true not null,
  key_id text not null,
  recorded_at timestamp with time zone default now() not null,
  constraint key_ring_pkey PRIMARY KEY (is_only),
  constraint key_ring_is_only_check CHECK (is_only)
);

create table lease (
  integration_id bigint not null,
  epoch bigint not null,
  holder text,
  expires_at timestamp with time zone not null,
  constraint lease_pkey PRIMARY KEY (integration_id),
  constraint lease_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE
);

create table migration (
  number integer not null,
  name text not null,
  checksum text not null,
  is_breaking boolean not null,
  applied_at timestamp with time zone default now() not null,
  constraint migration_pkey PRIMARY KEY (number)
);

create table module_state (
  integration_id bigint not null,
  module text not null,
  version bigint default 1 not null,
  watermark timestamp with time zone,
  last_full_at timestamp with time zone,
  cursor jsonb default '{}'::jsonb not null,
  constraint module_state_pkey PRIMARY KEY (integration_id, module),
  constraint module_state_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE
);

create table observation (
  place_id bigint not null,
  finding_id bigint not null,
  identity uuid not null,
  state_hash uuid not null,
  volatile_hash bigint not null,
  last_found_at timestamp with time zone,
  last_test_at timestamp with time zone,
  last_update_at timestamp with time zone,
  last_processed_at timestamp with time zone,
  times_found integer,
  run_id bigint not null,
  constraint observation_pkey PRIMARY KEY (place_id, finding_id)
) with (fillfactor=70);

create table outbox (
  id bigint generated always as identity not null,
  ticket_id bigint not null,
  op text not null,
  payload jsonb not null,
  reason text not null,
  state text default 'waiting'::text not null,
  tries integer default 0 not null,
  not_before timestamp with time zone default '-infinity'::timestamp with time zone not null,
  claimed_by text,
  claim_expires_at timestamp with time zone,
  error text,
  run_id bigint,
  created_at timestamp with time zone not null,
  done_at timestamp with time zone,
  constraint outbox_pkey PRIMARY KEY (id),
  constraint outbox_ticket_id_fkey FOREIGN KEY (ticket_id) REFERENCES ticket(id) ON DELETE CASCADE,
  constraint outbox_op_check CHECK (op = ANY (ARRAY['create'::text, 'update'::text, 'comment'::text, 'close'::text, 'reopen'::text, 'link'::text])),
  constraint outbox_state_check CHECK (state = ANY (ARRAY['waiting'::text, 'sending'::text, 'done'::text, 'failed'::text, 'cancelled'::text]))
);
CREATE INDEX outbox_by_ticket ON outbox USING btree (ticket_id, id);
CREATE INDEX outbox_queue ON outbox USING btree (ticket_id, id) WHERE state = ANY (ARRAY['waiting'::text, 'sending'::text]);

create table quarantine (
  id bigint generated always as identity not null,
  integration_id bigint not null,
  run_id bigint not null,
  batch_id bigint,
  host_id text,
  qid text,
  reason text not null,
  raw text not null,
  at timestamp with time zone not null,
  constraint quarantine_pkey PRIMARY KEY (id),
  constraint quarantine_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE
);
CREATE INDEX quarantine_by_run ON quarantine USING btree (run_id, id);

create table quota (
  subscription text not null,
  endpoint text not null,
  calls_max integer,
  window_sec integer,
  calls_remaining integer,
  concurrency_max integer,
  not_before timestamp with time zone,
  not_before_reason text,
  reported_at timestamp with time zone,
  refusals integer default 0 not null,
  slots_max integer,
  slots_max_until timestamp with time zone,
  constraint quota_pkey PRIMARY KEY (subscription, endpoint)
);

create table quota_call (
  subscription text not null,
  endpoint text not null,
  called_at timestamp with time zone not null
);
CREATE INDEX quota_call_window ON quota_call USING btree (subscription, endpoint, called_at);

create table restoration (
  id bigint generated always as identity not null,
  taken_at timestamp with time zone not null,
  restored_at timestamp with time zone not null,
  constraint restoration_pkey PRIMARY KEY (id)
);

create table run (
  id bigint generated always as identity not null,
  integration_id bigint not null,
  epoch bigint not null,
  trigger text not null,
  mode text not null,
  mode_reason text not null,
  state text default 'RUNNING'::text not null,
  phase text default 'listing'::text not null,
  options jsonb default '{}'::jsonb not null,
  scope jsonb not null,
  scope_drift text,
  server_started_at timestamp with time zone,
  watermark_from timestamp with time zone,
  watermark_to timestamp with time zone,
  visible_hosts integer,
  expected_hosts integer,
  message text,
  waiting_until timestamp with time zone,
  waiting_reason text,
  started_at timestamp with time zone not null,
  finished_at timestamp with time zone,
  tickets_planned_at timestamp with time zone,
  warnings text[] default '{}'::text[] not null,
  constraint run_pkey PRIMARY KEY (id),
  constraint run_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE,
  constraint run_mode_check CHECK (mode = ANY (ARRAY['full'::text, 'delta'::text])),
  constraint run_phase_check CHECK (phase = ANY (ARRAY['listing'::text, 'fetching'::text, 'knowledge'::text, 'finishing'::text, 'done'::text])),
  constraint run_state_check CHECK (state = ANY (ARRAY['RUNNING'::text, 'COMPLETE'::text, 'PARTIAL'::text, 'FAILED'::text, 'CANCELLED'::text]))
);
CREATE INDEX run_by_integration ON run USING btree (integration_id, id DESC);
CREATE UNIQUE INDEX run_one_at_a_time ON run USING btree (integration_id) WHERE state = 'RUNNING'::text;

create table run_call (
  run_id bigint not null,
  endpoint text not null,
  calls integer not null,
  constraint run_call_pkey PRIMARY KEY (run_id, endpoint),
  constraint run_call_run_id_fkey FOREIGN KEY (run_id) REFERENCES run(id) ON DELETE CASCADE
);

create table run_wait (
  run_id bigint not null,
  what text not null,
  cause text not null,
  reason text not null,
  waits integer default 1 not null,
  waited_ms bigint not null,
  first_at timestamp with time zone not null,
  until_at timestamp with time zone not null,
  constraint run_wait_pkey PRIMARY KEY (run_id, what, cause),
  constraint run_wait_run_id_fkey FOREIGN KEY (run_id) REFERENCES run(id) ON DELETE CASCADE,
  constraint run_wait_cause_check CHECK (cause = ANY (ARRAY['rate_limit'::text, 'concurrency'::text, 'own_share'::text, 'own_slots'::text, 'trouble'::text]))
);

create table slot (
  id bigint generated always as identity not null,
  subscription text not null,
  endpoint text not null,
  holder text not null,
  expires_at timestamp with time zone not null,
  constraint slot_pkey PRIMARY KEY (id)
);
CREATE INDEX slot_by_endpoint ON slot USING btree (subscription, endpoint);

create table tag (
  integration_id bigint not null,
  tag_id bigint not null,
  name text not null,
  parent_id bigint,
  rule_type text,
  criticality integer,
  constraint tag_pkey PRIMARY KEY (integration_id, tag_id),
  constraint tag_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE
);

create table ticket (
  id bigint generated always as identity not null,
  rule_id bigint not null,
  group_key text not null,
  original_key text not null,
  generation integer default 1 not null,
  hash_label text not null,
  state text not null,
  attempt_id uuid,
  unknown_since timestamp with time zone,
  issue_id bigint,
  issue_key text,
  url text,
  summary text not null,
  inputs_hash text not null,
  written jsonb default '{}'::jsonb not null,
  review_reason text,
  previous_ticket_id bigint,
  created_at timestamp with time zone not null,
  pushed_at timestamp with time zone,
  closed_at timestamp with time zone,
  told_group_key text,
  constraint ticket_pkey PRIMARY KEY (id),
  constraint ticket_hash_label_key UNIQUE (hash_label),
  constraint ticket_rule_id_original_key_generation_key UNIQUE (rule_id, original_key, generation),
  constraint ticket_previous_ticket_id_fkey FOREIGN KEY (previous_ticket_id) REFERENCES ticket(id),
  constraint ticket_rule_id_fkey FOREIGN KEY (rule_id) REFERENCES ticket_rule(id) ON DELETE CASCADE,
  constraint ticket_state_check CHECK (state = ANY (ARRAY['planned'::text, 'creating'::text, 'unknown'::text, 'open'::text, 'closed'::text, 'review'::text]))
);
CREATE INDEX ticket_by_group ON ticket USING btree (rule_id, group_key, generation);

create table ticket_finding (
  ticket_id bigint not null,
  place_id bigint not null,
  finding_id bigint not null,
  told_state text not null,
  joined_at timestamp with time zone not null,
  told_severity smallint,
  constraint ticket_finding_pkey PRIMARY KEY (ticket_id, place_id, finding_id),
  constraint ticket_finding_ticket_id_fkey FOREIGN KEY (ticket_id) REFERENCES ticket(id) ON DELETE CASCADE
);
CREATE INDEX ticket_finding_by_finding ON ticket_finding USING btree (place_id, finding_id);

create table ticket_rule (
  id bigint generated always as identity not null,
  name text not null,
  kind text not null,
  source_integration_id bigint not null,
  target_integration_id bigint not null,
  filter jsonb not null,
  group_by text[] not null,
  policy jsonb not null,
  is_enabled boolean default false not null,
  last_error text,
  created_at timestamp with time zone default now() not null,
  constraint ticket_rule_pkey PRIMARY KEY (id),
  constraint ticket_rule_name_key UNIQUE (name),
  constraint ticket_rule_source_integration_id_fkey FOREIGN KEY (source_integration_id) REFERENCES integration(id) ON DELETE CASCADE,
  constraint ticket_rule_target_integration_id_fkey FOREIGN KEY (target_integration_id) REFERENCES integration(id) ON DELETE CASCADE
);

create table vulnerability (
  integration_id bigint not null,
  qid bigint not null,
  issue_key text generated always as (qid::text) stored not null,
  is_known boolean not null,
  type text,
  severity smallint,
  title text,
  category text,
  patchable boolean,
  patch_key text not null,
  published_at timestamp with time zone,
  last_modified_at timestamp with time zone,
  code_modified_at timestamp with time zone,
  patch_published_at timestamp with time zone,
  diagnosis_html text,
  consequence_html text,
  solution_html text,
  cvss_v2 jsonb,
  cvss_v3 jsonb,
  pci boolean,
  disabled boolean,
  discovery_remote boolean,
  software jsonb default '[]'::jsonb not null,
  threat_intel jsonb default '[]'::jsonb not null,
  extra jsonb,
  content_hash text default ''::text not null,
  fetched_at timestamp with time zone not null,
  vendor_severity smallint,
  customized_at timestamp with time zone,
  customized_by text,
  missing_since timestamp with time zone,
  missing_tries integer default 0 not null,
  next_try_at timestamp with time zone,
  constraint vulnerability_pkey PRIMARY KEY (integration_id, qid),
  constraint vulnerability_integration_id_issue_key_key UNIQUE (integration_id, issue_key),
  constraint vulnerability_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integration(id) ON DELETE CASCADE
);
CREATE INDEX vulnerability_by_patch ON vulnerability USING btree (integration_id, patch_key);
CREATE INDEX vulnerability_missing ON vulnerability USING btree (integration_id, qid) WHERE missing_since IS NOT NULL;

create table vulnerability_cve (
  integration_id bigint not null,
  qid bigint not null,
  cve text not null,
  url text,
  constraint vulnerability_cve_pkey PRIMARY KEY (integration_id, qid, cve),
  constraint vulnerability_cve_integration_id_qid_fkey FOREIGN KEY (integration_id, qid) REFERENCES vulnerability(integration_id, qid) ON DELETE CASCADE
);
CREATE INDEX vulnerability_by_cve ON vulnerability_cve USING btree (cve);

create table vulnerability_reference (
  integration_id bigint not null,
  qid bigint not null,
  reference text not null,
  url text,
  constraint vulnerability_reference_pkey PRIMARY KEY (integration_id, qid, reference),
  constraint vulnerability_reference_integration_id_qid_fkey FOREIGN KEY (integration_id, qid) REFERENCES vulnerability(integration_id, qid) ON DELETE CASCADE
);

create table vulnerability_version (
  integration_id bigint not null,
  qid bigint not null,
  number integer not null,
  seen_at timestamp with time zone not null,
  run_id bigint,
  modified_at timestamp with time zone,
  changed text[] not null,
  severity smallint,
  is_customized boolean not null,
  type text,
  title text,
  patchable boolean,
  disabled boolean,
  patch_key text not null,
  vendor_references text[] not null,
  cves text[] not null,
  constraint vulnerability_version_pkey PRIMARY KEY (integration_id, qid, number),
  constraint vulnerability_version_integration_id_qid_fkey FOREIGN KEY (integration_id, qid) REFERENCES vulnerability(integration_id, qid) ON DELETE CASCADE
);
