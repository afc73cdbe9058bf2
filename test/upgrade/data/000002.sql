-- What a hub of version 2 had after two runs over the estate in ../estate.ts, with its built-in rule switched on.

create table event_2026_10 partition of event for values from ('2026-10-01') to ('2026-11-01');
create table event_2026_11 partition of event for values from ('2026-11-01') to ('2026-12-01');

insert into integration (id, type, subtype, name, config, is_enabled, status, status_message, subscription, created_at, updated_at) overriding system value values
  ('1', 'vaplugin', 'qualys', 'test', '{}', 'true', 'OK', NULL, NULL, '2026-11-21 14:09:22.946438+00', '2026-11-21 14:09:23.527396+00'),
  ('2', 'ticketing', 'jira', 'jira', '{}', 'true', 'OK', NULL, NULL, '2026-11-21 14:09:22.988665+00', '2026-11-21 14:09:23.756716+00');

insert into lease (integration_id, epoch, holder, expires_at) values
  ('1', '2', NULL, '2026-11-21 14:10:23.758627+00');

insert into module_state (integration_id, module, version, watermark, last_full_at, cursor) values
  ('1', 'qualys.detections', '3', '2026-10-01 11:00:00+00', '2026-10-01 12:00:00+00', '{"batchHosts": 2000, "lastInformationAt": "2026-10-01T12:00:00.000Z"}'),
  ('1', 'qualys.knowledge-base', '3', '2026-10-01 11:00:00+00', NULL, '{}');

insert into run (id, integration_id, epoch, trigger, mode, mode_reason, state, phase, options, scope, scope_drift, server_started_at, watermark_from, watermark_to, visible_hosts, expected_hosts, message, waiting_until, waiting_reason, started_at, finished_at, tickets_planned_at) overriding system value values
  ('1', '1', '1', 'manual', 'full', 'asked for', 'COMPLETE', 'done', '{"showIgs": true, "showResults": true}', '{"url": "http://fake.example.com", "user": "fake_user", "modules": "host list 5.0, detections 5.0, knowledge base 4.0"}', NULL, '2026-10-01 12:00:00+00', NULL, '2026-10-01 10:00:00+00', '3', '3', 'Everything that was expected came.', NULL, NULL, '2026-10-01 12:00:00+00', '2026-10-01 12:00:00+00', NULL),
  ('2', '1', '2', 'manual', 'delta', 'asked for what changed', 'COMPLETE', 'done', '{"showIgs": false, "showResults": true}', '{"url": "http://fake.example.com", "user": "fake_user", "modules": "host list 5.0, detections 5.0, knowledge base 4.0"}', NULL, '2026-10-01 13:00:00+00', '2026-10-01 10:00:00+00', '2026-10-01 11:00:00+00', '3', '3', 'Everything that was expected came.', NULL, NULL, '2026-10-01 13:00:00+00', '2026-10-01 13:00:00+00', NULL);

insert into batch (id, run_id, integration_id, module, purpose, host_ids, options, state, attempt, failures, claimed_by, claim_expires_at, not_before, parent_id, received_hosts, received_records, unexpected_hosts, new_records, changed_records, seen_records, unchanged_records, older_records, quarantined_records, missing_records, stale_records, repaired_chars, bytes, duration_ms, error, finished_at) overriding system value values
  ('1', '1', '1', 'qualys.hosts', 'expected', '{1001,1002,1003}', '{}', 'done', '1', '0', NULL, NULL, '-infinity', NULL, '3', '3', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '4028', '0', NULL, '2026-10-01 12:00:00+00'),
  ('2', '1', '1', 'qualys.detections', 'expected', '{1001,1002,1003}', '{"showIgs": true, "showResults": true}', 'done', '1', '0', NULL, NULL, '-infinity', NULL, '3', '6', '0', '6', '0', '0', '0', '0', '0', '0', '0', '0', '8958', '0', NULL, '2026-10-01 12:00:00+00'),
  ('3', '2', '1', 'qualys.hosts', 'expected', '{1001,1002,1003}', '{}', 'done', '1', '0', NULL, NULL, '-infinity', NULL, '3', '3', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '4028', '0', NULL, '2026-10-01 13:00:00+00'),
  ('4', '2', '1', 'qualys.detections', 'expected', '{1001,1002,1003}', '{"showIgs": false, "showResults": true}', 'done', '1', '0', NULL, NULL, '-infinity', NULL, '3', '5', '0', '0', '1', '0', '4', '0', '0', '0', '0', '0', '8569', '0', NULL, '2026-10-01 13:00:00+00');

insert into quota (subscription, endpoint, calls_max, window_sec, calls_remaining, concurrency_max, not_before, not_before_reason, reported_at) values
  ('test', 'fo/asset/host', '10000', '3600', '9997', '2', NULL, NULL, '2026-10-01 13:00:00+00'),
  ('test', 'fo/asset/host/vm/detection', '10000', '3600', '9999', '2', NULL, NULL, '2026-10-01 13:00:00+00'),
  ('test', 'fo/knowledge_base/vuln', '10000', '3600', '9999', '2', NULL, NULL, '2026-10-01 13:00:00+00'),
  ('test', 'qps/search/am/tag', NULL, NULL, NULL, NULL, NULL, NULL, '2026-10-01 13:00:00+00');

insert into quota_call (subscription, endpoint, called_at) values
  ('test', 'fo/asset/host', '2026-10-01 13:00:00+00'),
  ('test', 'fo/asset/host', '2026-10-01 13:00:00+00'),
  ('test', 'fo/asset/host', '2026-10-01 13:00:00+00'),
  ('test', 'fo/asset/host/vm/detection', '2026-10-01 13:00:00+00'),
  ('test', 'fo/knowledge_base/vuln', '2026-10-01 13:00:00+00'),
  ('test', 'qps/search/am/tag', '2026-10-01 12:00:00+00'),
  ('test', 'qps/search/am/tag', '2026-10-01 13:00:00+00');

insert into tag (integration_id, tag_id, name, parent_id, rule_type, criticality) values
  ('1', '7000001', 'Servers', NULL, 'STATIC', NULL);

insert into host (id, integration_id, host_id, asset_id, ip, ipv6, tracking_method, network_id, os, os_cpe, dns, fqdn, netbios, agent_id, cloud_provider, cloud_service, cloud_resource_id, serial_number, hardware_uuid, owner, trurisk, criticality, first_found_at, last_activity_at, last_scan_at, last_vm_scanned_at, last_vm_auth_scanned_at, last_pc_scanned_at, extra, first_listed_at, last_listed_at, last_listed_run_id, last_listed_scope, lists_missing, removed_at, out_of_scope_at) overriding system value values
  ('1', '1', '1001', '3004', '192.0.2.240', NULL, 'IP', '0', 'Windows Server 2022 Datacenter 64 bit Edition', NULL, 'host-1001.example.com', 'host-1001.example.com', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'qualys_fake', NULL, NULL, '2026-06-23 12:00:00+00', '2026-10-01 13:00:00+00', '2026-10-01 13:00:00+00', '2026-10-01 13:00:00+00', '2026-10-01 10:59:45+00', NULL, '{"DNS_DATA": "<HOSTNAME>host-1001</HOSTNAME><DOMAIN>example.com</DOMAIN><FQDN>host-1001.example.com</FQDN>", "LAST_VM_SCANNED_DURATION": "352", "LAST_VM_AUTH_SCANNED_DURATION": "352"}', '2026-10-01 12:00:00+00', '2026-10-01 13:00:00+00', '2', 'e829a515dbbcc6e1', '0', NULL, NULL),
  ('2', '1', '1002', '3007', '192.0.2.241', NULL, 'IP', '0', 'Windows Server 2022 Datacenter 64 bit Edition', NULL, 'host-1002.example.com', 'host-1002.example.com', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'qualys_fake', NULL, NULL, '2026-06-23 12:00:00+00', '2026-10-01 11:00:00+00', '2026-10-01 11:00:00+00', '2026-10-01 10:59:45+00', '2026-10-01 10:59:45+00', NULL, '{"DNS_DATA": "<HOSTNAME>host-1002</HOSTNAME><DOMAIN>example.com</DOMAIN><FQDN>host-1002.example.com</FQDN>", "LAST_VM_SCANNED_DURATION": "352", "LAST_VM_AUTH_SCANNED_DURATION": "352"}', '2026-10-01 12:00:00+00', '2026-10-01 13:00:00+00', '2', 'e829a515dbbcc6e1', '0', NULL, NULL),
  ('3', '1', '1003', '3010', '192.0.2.242', NULL, 'IP', '0', 'Windows Server 2022 Datacenter 64 bit Edition', NULL, 'host-1003.example.com', 'host-1003.example.com', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'qualys_fake', NULL, NULL, '2026-06-23 12:00:00+00', '2026-10-01 11:00:00+00', '2026-10-01 11:00:00+00', '2026-10-01 10:59:45+00', '2026-10-01 10:59:45+00', NULL, '{"DNS_DATA": "<HOSTNAME>host-1003</HOSTNAME><DOMAIN>example.com</DOMAIN><FQDN>host-1003.example.com</FQDN>", "LAST_VM_SCANNED_DURATION": "352", "LAST_VM_AUTH_SCANNED_DURATION": "352"}', '2026-10-01 12:00:00+00', '2026-10-01 13:00:00+00', '2', 'e829a515dbbcc6e1', '0', NULL, NULL);

insert into host_tag (integration_id, place_id, tag_id) values
  ('1', '1', '7000001');

insert into evidence (hash, body) values
  ('0256618d-430b-aa5f-9301-3deee811857f', 'Found on host-1003.example.com	version 1.0
required	2.0'),
  ('17e17a83-fef3-f993-e959-e6bf3e2b6abb', 'Found on host-1001.example.com	version 1.0
required	2.0'),
  ('cd3080c8-71bf-4b12-f18a-349aa6518230', 'Found on host-1002.example.com	version 1.0
required	2.0');

insert into finding (id, kind, integration_id, place_id, issue_key, identity, source_key, type, severity, qds, source_status, state, ignored, disabled, missing_since, accepted_until, first_found_at, first_found_effective_at, opened_at, fixed_at, times_reopened, last_fixed_at, last_reopened_at, port, protocol, ssl, fqdn, instance, service, affect_running_kernel, affect_running_service, affect_exploitable_config, evidence_hash, extra, first_run_id, changed_run_id) values
  ('10000', 'vm', '1', '1', '90001', '3bcf8e96-03aa-acf8-e084-391d028e6d4f', '6924007411434325', 'Confirmed', '5', NULL, 'Fixed', 'fixed', 'false', 'false', NULL, NULL, '2026-09-01 10:59:45+00', '2026-09-01 10:59:45+00', '2026-09-01 10:59:45+00', '2026-10-01 13:00:00+00', '0', '2026-10-01 13:00:00+00', NULL, '443', 'tcp', 'true', NULL, NULL, NULL, NULL, NULL, NULL, '17e17a83-fef3-f993-e959-e6bf3e2b6abb', NULL, '1', '2'),
  ('10001', 'vm', '1', '1', '90002', '8783f0d6-6ca5-0268-fa06-9cee26c85341', '5046206534240825', 'Confirmed', '4', '72', 'Re-Opened', 'open', 'false', 'false', NULL, NULL, '2026-09-01 10:59:45+00', '2026-09-01 10:59:45+00', '2026-10-01 10:59:45+00', NULL, '1', '2026-09-26 10:59:45+00', '2026-10-01 10:59:45+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '17e17a83-fef3-f993-e959-e6bf3e2b6abb', '{"QDS@severity": "HIGH"}', '1', '1'),
  ('10002', 'vm', '1', '1', '90003', '69221fb3-5491-7b76-0b0b-399168e129be', '5322982211717456', 'Info', '1', NULL, NULL, 'open', 'false', 'false', NULL, NULL, NULL, NULL, '2026-10-01 12:00:00+00', NULL, '0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '17e17a83-fef3-f993-e959-e6bf3e2b6abb', NULL, '1', '1'),
  ('10003', 'vm', '1', '2', '90001', '5d05907c-80bf-c9b5-e23b-6706176c5abb', '6008302630758069', 'Confirmed', '5', NULL, 'New', 'open', 'false', 'false', NULL, NULL, '2026-10-01 10:59:45+00', '2026-10-01 10:59:45+00', '2026-10-01 10:59:45+00', NULL, '0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'cd3080c8-71bf-4b12-f18a-349aa6518230', NULL, '1', '1'),
  ('10004', 'vm', '1', '2', '90002', 'dbef92eb-4f97-b250-c4b4-dbb91a7d7a74', '4914618693430494', 'Confirmed', '4', NULL, 'Fixed', 'fixed', 'false', 'false', NULL, NULL, '2026-09-01 10:59:45+00', '2026-09-01 10:59:45+00', '2026-09-01 10:59:45+00', '2026-10-01 10:59:45+00', '0', '2026-10-01 10:59:45+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'cd3080c8-71bf-4b12-f18a-349aa6518230', NULL, '1', '1'),
  ('10005', 'vm', '1', '3', '90004', '77338c0e-0f01-2442-1ac6-04d88dad07af', '6519749045235979', 'Confirmed', '3', NULL, 'Active', 'suppressed', 'true', 'false', NULL, NULL, '2026-09-01 10:59:45+00', '2026-09-01 10:59:45+00', '2026-09-01 10:59:45+00', NULL, '0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '0256618d-430b-aa5f-9301-3deee811857f', NULL, '1', '1');

insert into observation (place_id, finding_id, identity, state_hash, volatile_hash, last_found_at, last_test_at, last_update_at, last_processed_at, times_found, run_id) values
  ('1', '10000', '3bcf8e96-03aa-acf8-e084-391d028e6d4f', 'aad9d030-c503-02df-96aa-76db0bde51ac', '-5403717150909717526', '2026-09-30 13:00:00+00', '2026-10-01 13:00:00+00', '2026-10-01 13:00:00+00', '2026-10-01 13:00:00+00', '30', '2'),
  ('1', '10001', '8783f0d6-6ca5-0268-fa06-9cee26c85341', '02e177cb-f514-0ac6-893b-b667d93fdac3', '-8183425153178359430', '2026-10-01 10:59:45+00', '2026-10-01 10:59:45+00', '2026-10-01 11:00:00+00', '2026-10-01 11:00:00+00', '30', '1'),
  ('1', '10002', '69221fb3-5491-7b76-0b0b-399168e129be', 'afc987c1-612d-1c8b-96e9-b797ecbd368d', '6922691042472818247', NULL, NULL, NULL, '2026-10-01 11:00:00+00', NULL, '1'),
  ('2', '10003', '5d05907c-80bf-c9b5-e23b-6706176c5abb', '9787e397-543c-a31c-1b03-4cd12b012a44', '-5683743393777940878', '2026-10-01 10:59:45+00', '2026-10-01 10:59:45+00', '2026-10-01 11:00:00+00', '2026-10-01 11:00:00+00', '1', '1'),
  ('2', '10004', 'dbef92eb-4f97-b250-c4b4-dbb91a7d7a74', '0a0f93fb-9859-c60a-6990-699e20b8d60d', '1697714445249465452', '2026-09-30 10:59:45+00', '2026-10-01 10:59:45+00', '2026-10-01 11:00:00+00', '2026-10-01 11:00:00+00', '30', '1'),
  ('3', '10005', '77338c0e-0f01-2442-1ac6-04d88dad07af', '5e3e6cc5-d9cf-374b-f86c-919be235d304', '-8183425153178359430', '2026-10-01 10:59:45+00', '2026-10-01 10:59:45+00', '2026-10-01 11:00:00+00', '2026-10-01 11:00:00+00', '30', '1');

insert into event (id, seen_at, kind, integration_id, place_id, finding_id, happened_at, run_id, old_state, new_state, old_source_status, new_source_status, reason) overriding system value values
  ('1', '2026-10-01 13:00:00+00', 'vm', '1', '1', '10000', '2026-10-01 13:00:00+00', '2', 'open', 'fixed', 'Active', 'Fixed', 'The source reports it fixed.');

insert into vulnerability (integration_id, qid, is_known, type, severity, title, category, patchable, patch_key, published_at, last_modified_at, code_modified_at, patch_published_at, diagnosis_html, consequence_html, solution_html, cvss_v2, cvss_v3, pci, disabled, discovery_remote, software, threat_intel, extra, content_hash, fetched_at) values
  ('1', '90001', 'true', 'Vulnerability', '5', 'Synthetic vulnerability 90001', 'General remote services', 'true', 'ref:KB5030001', '2026-06-23 12:00:00+00', '2026-09-21 12:00:00+00', NULL, NULL, 'What QID 90001 is about.<P>', 'An attacker may gain access.<P>', 'Ask the vendor for a fix.<P>', NULL, NULL, 'false', 'false', 'true', '[]', '[]', NULL, '03bbf61140ace612c532a4107abd084e', '2026-10-01 12:00:00+00'),
  ('1', '90002', 'true', 'Vulnerability', '4', 'Synthetic vulnerability 90002', 'General remote services', 'true', 'ref:RHSA-2026:0002', '2026-06-23 12:00:00+00', '2026-09-21 12:00:00+00', NULL, NULL, 'What QID 90002 is about.<P>', 'An attacker may gain access.<P>', 'Ask the vendor for a fix.<P>', NULL, NULL, 'false', 'false', 'true', '[]', '[]', NULL, 'dcb245ecd875d7a69bff06245e7bb133', '2026-10-01 12:00:00+00'),
  ('1', '90003', 'true', 'Information Gathered', '1', 'Synthetic vulnerability 90003', 'General remote services', 'false', 'qid:90003', '2026-06-23 12:00:00+00', '2026-09-21 12:00:00+00', NULL, NULL, 'What QID 90003 is about.<P>', 'An attacker may gain access.<P>', 'Ask the vendor for a fix.<P>', NULL, NULL, 'false', 'false', 'true', '[]', '[]', NULL, '1166974e2a26a4d561ec74c19d0d0a97', '2026-10-01 12:00:00+00');

insert into vulnerability_cve (integration_id, qid, cve, url) values
  ('1', '90001', 'CVE-2026-0001', 'https://cve.example.com/CVE-2026-0001');

insert into vulnerability_reference (integration_id, qid, reference, url) values
  ('1', '90001', 'KB5030001', 'https://vendor.example.com/KB5030001'),
  ('1', '90002', 'RHSA-2026:0002', 'https://vendor.example.com/2');

insert into ticket_rule (id, name, kind, source_integration_id, target_integration_id, filter, group_by, policy, is_enabled, last_error, created_at) overriding system value values
  ('1', 'vm patches: test to jira', 'vm', '1', '2', '{"types": ["Confirmed"], "patchable": true, "severityMin": 4}', '{patch}', '{"dailyCreatesMax": 200, "reopenWithinDays": 30}', 'true', NULL, '2026-11-21 14:09:22.995429+00');

insert into ticket (id, rule_id, group_key, original_key, generation, hash_label, state, attempt_id, unknown_since, issue_id, issue_key, url, summary, inputs_hash, written, review_reason, previous_ticket_id, created_at, pushed_at, closed_at) overriding system value values
  ('1', '1', 'ref:KB5030001', 'ref:KB5030001', '1', 'patchbay-6baf93e6acc8c57a181a', 'open', '41b65272-d8e0-41a8-8963-98335e1e529a', NULL, '20002', 'VULN-2', 'http://fake.example.com/browse/VULN-2', '[Qualys] KB5030001: Synthetic vulnerability 90001 (2 hosts)', '4408752887617281484', '{"summary": "[Qualys] KB5030001: Synthetic vulnerability 90001 (2 hosts)"}', NULL, NULL, '2026-10-01 12:00:00+00', '2026-10-01 13:00:00+00', NULL),
  ('2', '1', 'ref:RHSA-2026:0002', 'ref:RHSA-2026:0002', '1', 'patchbay-18b2bdfec8ee7b760e5d', 'open', 'b0b84baa-ec07-4c28-8867-771b27390a41', NULL, '20001', 'VULN-1', 'http://fake.example.com/browse/VULN-1', '[Qualys] RHSA-2026:0002: Synthetic vulnerability 90002 (1 host)', '-4844651009003909605', '{"summary": "[Qualys] RHSA-2026:0002: Synthetic vulnerability 90002 (1 host)"}', NULL, NULL, '2026-10-01 12:00:00+00', '2026-10-01 12:00:00+00', NULL);

insert into ticket_finding (ticket_id, place_id, finding_id, told_state, joined_at) values
  ('1', '1', '10000', 'fixed', '2026-10-01 12:00:00+00'),
  ('1', '2', '10003', 'open', '2026-10-01 12:00:00+00'),
  ('2', '1', '10001', 'open', '2026-10-01 12:00:00+00');

insert into outbox (id, ticket_id, op, payload, reason, state, tries, not_before, claimed_by, claim_expires_at, error, run_id, created_at, done_at) overriding system value values
  ('1', '1', 'create', '{"blocks": [{"kind": "paragraph", "content": [{"kind": "text", "text": "2 of 2 hosts still open", "marks": ["strong"]}, {"kind": "text", "text": ". Highest severity 5 of 5."}]}, {"kind": "heading", "level": 3, "content": [{"kind": "text", "text": "Hosts"}]}, {"kind": "table", "rows": [[[{"kind": "text", "text": "host-1001.example.com"}], [{"kind": "text", "text": "192.0.2.240"}], [{"kind": "text", "text": "Windows Server 2022 Datacenter 64 bit Edition"}], [{"kind": "text", "text": "90001"}], [{"kind": "text", "text": "2026-09-01"}], [{"kind": "text", "text": "open"}]], [[{"kind": "text", "text": "host-1002.example.com"}], [{"kind": "text", "text": "192.0.2.241"}], [{"kind": "text", "text": "Windows Server 2022 Datacenter 64 bit Edition"}], [{"kind": "text", "text": "90001"}], [{"kind": "text", "text": "2026-10-01"}], [{"kind": "text", "text": "open"}]]], "header": [[{"kind": "text", "text": "Host"}], [{"kind": "text", "text": "IP address"}], [{"kind": "text", "text": "Operating system"}], [{"kind": "text", "text": "QIDs"}], [{"kind": "text", "text": "First found"}], [{"kind": "text", "text": "State"}]]}, {"kind": "heading", "level": 3, "content": [{"kind": "text", "text": "Vulnerabilities"}]}, {"kind": "table", "rows": [[[{"kind": "text", "text": "90001"}], [{"kind": "text", "text": "Synthetic vulnerability 90001"}], [{"kind": "text", "text": "5"}], [{"kind": "text", "text": "–"}], [{"href": "https://nvd.nist.gov/vuln/detail/CVE-2026-0001", "kind": "link", "text": "CVE-2026-0001"}]]], "header": [[{"kind": "text", "text": "QID"}], [{"kind": "text", "text": "Title"}], [{"kind": "text", "text": "Severity"}], [{"kind": "text", "text": "CVSS"}], [{"kind": "text", "text": "CVEs"}]]}, {"kind": "heading", "level": 3, "content": [{"kind": "text", "text": "What to do"}]}, {"kind": "paragraph", "content": [{"kind": "text", "text": "Ask the vendor for a fix."}]}, {"kind": "heading", "level": 3, "content": [{"kind": "text", "text": "Vendor references"}]}, {"kind": "list", "items": [[{"kind": "paragraph", "content": [{"href": "https://vendor.example.com/KB5030001", "kind": "link", "text": "KB5030001"}]}]], "ordered": false}], "summary": "[Qualys] KB5030001: Synthetic vulnerability 90001 (2 hosts)"}', '2 hosts open, no ticket yet.', 'done', '1', '-infinity', NULL, NULL, NULL, NULL, '2026-10-01 12:00:00+00', '2026-10-01 12:00:00+00'),
  ('2', '2', 'create', '{"blocks": [{"kind": "paragraph", "content": [{"kind": "text", "text": "1 of 1 host still open", "marks": ["strong"]}, {"kind": "text", "text": ". Highest severity 4 of 5."}]}, {"kind": "heading", "level": 3, "content": [{"kind": "text", "text": "Hosts"}]}, {"kind": "table", "rows": [[[{"kind": "text", "text": "host-1001.example.com"}], [{"kind": "text", "text": "192.0.2.240"}], [{"kind": "text", "text": "Windows Server 2022 Datacenter 64 bit Edition"}], [{"kind": "text", "text": "90002"}], [{"kind": "text", "text": "2026-09-01"}], [{"kind": "text", "text": "open"}]]], "header": [[{"kind": "text", "text": "Host"}], [{"kind": "text", "text": "IP address"}], [{"kind": "text", "text": "Operating system"}], [{"kind": "text", "text": "QIDs"}], [{"kind": "text", "text": "First found"}], [{"kind": "text", "text": "State"}]]}, {"kind": "heading", "level": 3, "content": [{"kind": "text", "text": "Vulnerabilities"}]}, {"kind": "table", "rows": [[[{"kind": "text", "text": "90002"}], [{"kind": "text", "text": "Synthetic vulnerability 90002"}], [{"kind": "text", "text": "4"}], [{"kind": "text", "text": "–"}], [{"kind": "text", "text": "–"}]]], "header": [[{"kind": "text", "text": "QID"}], [{"kind": "text", "text": "Title"}], [{"kind": "text", "text": "Severity"}], [{"kind": "text", "text": "CVSS"}], [{"kind": "text", "text": "CVEs"}]]}, {"kind": "heading", "level": 3, "content": [{"kind": "text", "text": "What to do"}]}, {"kind": "paragraph", "content": [{"kind": "text", "text": "Ask the vendor for a fix."}]}, {"kind": "heading", "level": 3, "content": [{"kind": "text", "text": "Vendor references"}]}, {"kind": "list", "items": [[{"kind": "paragraph", "content": [{"href": "https://vendor.example.com/2", "kind": "link", "text": "RHSA-2026:0002"}]}]], "ordered": false}], "summary": "[Qualys] RHSA-2026:0002: Synthetic vulnerability 90002 (1 host)"}', '1 host open, no ticket yet.', 'done', '1', '-infinity', NULL, NULL, NULL, NULL, '2026-10-01 12:00:00+00', '2026-10-01 12:00:00+00'),
  ('3', '1', 'update', '{"blocks": [{"kind": "paragraph", "content": [{"kind": "text", "text": "1 of 2 hosts still open", "marks": ["strong"]}, {"kind": "text", "text": ", 1 fixed"}, {"kind": "text", "text": ". Highest severity 5 of 5."}]}, {"kind": "heading", "level": 3, "content": [{"kind": "text", "text": "Hosts"}]}, {"kind": "table", "rows": [[[{"kind": "text", "text": "host-1002.example.com"}], [{"kind": "text", "text": "192.0.2.241"}], [{"kind": "text", "text": "Windows Server 2022 Datacenter 64 bit Edition"}], [{"kind": "text", "text": "90001"}], [{"kind": "text", "text": "2026-10-01"}], [{"kind": "text", "text": "open"}]], [[{"kind": "text", "text": "host-1001.example.com"}], [{"kind": "text", "text": "192.0.2.240"}], [{"kind": "text", "text": "Windows Server 2022 Datacenter 64 bit Edition"}], [{"kind": "text", "text": "90001"}], [{"kind": "text", "text": "2026-09-01"}], [{"kind": "text", "text": "fixed 2026-10-01"}]]], "header": [[{"kind": "text", "text": "Host"}], [{"kind": "text", "text": "IP address"}], [{"kind": "text", "text": "Operating system"}], [{"kind": "text", "text": "QIDs"}], [{"kind": "text", "text": "First found"}], [{"kind": "text", "text": "State"}]]}, {"kind": "heading", "level": 3, "content": [{"kind": "text", "text": "Vulnerabilities"}]}, {"kind": "table", "rows": [[[{"kind": "text", "text": "90001"}], [{"kind": "text", "text": "Synthetic vulnerability 90001"}], [{"kind": "text", "text": "5"}], [{"kind": "text", "text": "–"}], [{"href": "https://nvd.nist.gov/vuln/detail/CVE-2026-0001", "kind": "link", "text": "CVE-2026-0001"}]]], "header": [[{"kind": "text", "text": "QID"}], [{"kind": "text", "text": "Title"}], [{"kind": "text", "text": "Severity"}], [{"kind": "text", "text": "CVSS"}], [{"kind": "text", "text": "CVEs"}]]}, {"kind": "heading", "level": 3, "content": [{"kind": "text", "text": "What to do"}]}, {"kind": "paragraph", "content": [{"kind": "text", "text": "Ask the vendor for a fix."}]}, {"kind": "heading", "level": 3, "content": [{"kind": "text", "text": "Vendor references"}]}, {"kind": "list", "items": [[{"kind": "paragraph", "content": [{"href": "https://vendor.example.com/KB5030001", "kind": "link", "text": "KB5030001"}]}]], "ordered": false}], "summary": "[Qualys] KB5030001: Synthetic vulnerability 90001 (2 hosts)"}', '1 host fixed.', 'done', '1', '-infinity', NULL, NULL, NULL, NULL, '2026-10-01 13:00:00+00', '2026-10-01 13:00:00+00'),
  ('4', '1', 'comment', '{"blocks": [{"kind": "paragraph", "content": [{"kind": "text", "text": "1 host fixed."}]}]}', '1 host fixed.', 'done', '1', '-infinity', NULL, NULL, NULL, NULL, '2026-10-01 13:00:00+00', '2026-10-01 13:00:00+00');

insert into integration_secret (integration_id, field, sealed, updated_at) values
  (1, 'password', '{"version": 1, "keyId": "0123456789abcdef", "wrappedKey": "AAAA", "sealed": "AAAA"}', '2026-10-01 12:00:00+00');

insert into key_ring (key_id, recorded_at) values ('0123456789abcdef', '2026-10-01 12:00:00+00');

insert into gap (integration_id, kind, key, place_id, reason, since, first_run_id, last_run_id, tries, settled_at, settled_run_id) values
  (1, 'qid', '90009', null, 'The knowledge base does not know it.', '2026-10-01 12:00:00+00', 1, 1, 1, '2026-10-01 13:00:00+00', 2),
  (1, 'host', '1002', 2, 'It was left out.', '2026-10-01 12:00:00+00', 1, 2, 2, null, null);

insert into quarantine (integration_id, run_id, batch_id, host_id, qid, reason, raw, at) values
  (1, 1, 2, '1002', '90009', 'Its status is unknown.', '<DETECTION/>', '2026-10-01 12:00:00+00');

select setval('batch_id_seq', 4);
select setval('event_id_seq', 1);
select setval('finding_id_block', 2);
select setval('host_id_seq', 6);
select setval('integration_id_seq', 2);
select setval('outbox_id_seq', 4);
select setval('run_id_seq', 2);
select setval('slot_id_seq', 11);
select setval('ticket_id_seq', 2);
select setval('ticket_rule_id_seq', 1);
