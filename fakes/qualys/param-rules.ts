import type { ParamKind, ParamRules } from './params.ts'

const OUTPUT: Record<string, ParamKind> = { echo_request: ['0'] }

const PAGING: Record<string, ParamKind> = { truncation_limit: 'count', id_min: 'id', id_max: 'id' }

const HOST_SELECTION: Record<string, ParamKind> = {
  ids: 'ids',
  ips: 'text',
  ipv6: 'elsewhere',
  ag_ids: 'elsewhere',
  ag_titles: 'elsewhere',
  network_ids: { listOf: 'ids' },
  network_name: 'elsewhere',
  os_pattern: 'text',
  compliance_enabled: 'elsewhere',
  use_tags: 'flag',
  tag_set_by: ['id', 'name'],
  tag_include_selector: ['any', 'all'],
  tag_exclude_selector: ['any', 'all'],
  tag_set_include: 'text',
  tag_set_exclude: 'text',
}

const HOST_TIME: Record<string, ParamKind> = {
  vm_scan_since: 'date',
  no_vm_scan_since: 'date',
  vm_processed_after: 'date',
  vm_processed_before: 'date',
  vm_scan_date_after: 'date',
  vm_scan_date_before: 'date',
  vm_auth_scan_date_after: 'date',
  vm_auth_scan_date_before: 'date',
}

const CLOUD: Record<string, ParamKind> = {
  host_metadata: 'elsewhere',
  host_metadata_fields: 'elsewhere',
  show_cloud_tags: 'elsewhere',
  cloud_tag_fields: 'elsewhere',
}

const HOST_ONLY_ONE = [
  ['ag_ids', 'ag_titles'],
  ['network_ids', 'network_name'],
]

export const HOST_LIST_RULES: ParamRules = {
  kinds: {
    ...OUTPUT,
    ...PAGING,
    ...HOST_SELECTION,
    ...HOST_TIME,
    ...CLOUD,
    details: ['Basic', 'Basic/AGs', 'All', 'All/AGs', 'None'],
    show_asset_id: 'flag',
    show_tags: 'flag',
    show_ars: 'elsewhere',
    show_ars_factors: 'elsewhere',
    show_trurisk: 'elsewhere',
    show_trurisk_factors: 'elsewhere',
    ars_min: 'elsewhere',
    ars_max: 'elsewhere',
    trurisk_min: 'elsewhere',
    trurisk_max: 'elsewhere',
    os_hostname: 'elsewhere',
    compliance_scan_since: 'elsewhere',
    no_compliance_scan_since: 'elsewhere',
    scap_scan_since: 'elsewhere',
    no_scap_scan_since: 'elsewhere',
  },
  onlyOne: HOST_ONLY_ONE,
  notTogether: [],
}

const FILTER_SCALE: ParamKind = ['0', '1', '2', '3', '4']

export const DETECTION_RULES: ParamRules = {
  kinds: {
    ...OUTPUT,
    ...PAGING,
    ...HOST_SELECTION,
    ...HOST_TIME,
    ...CLOUD,
    max_days_since_last_vm_scan: 'count',
    output_format: ['XML'],
    suppress_duplicated_data_from_csv: 'elsewhere',
    show_results: 'flag',
    show_igs: 'flag',
    show_reopened_info: 'flag',
    show_asset_id: 'flag',
    show_tags: 'flag',
    show_qds: 'flag',
    show_qds_factors: 'flag',
    vuln_detection_source: 'elsewhere',
    status: { listOf: ['New', 'Active', 'Re-Opened', 'Fixed'] },
    severities: { listOf: 'ids' },
    qids: 'ids',
    include_search_list_titles: 'elsewhere',
    include_search_list_ids: 'elsewhere',
    exclude_search_list_titles: 'elsewhere',
    exclude_search_list_ids: 'elsewhere',
    include_vuln_type: ['confirmed', 'potential'],
    filter_superseded_qids: 'elsewhere',
    include_ignored: 'flag',
    include_disabled: 'flag',
    qds_min: 'count',
    qds_max: 'count',
    arf_kernel_filter: FILTER_SCALE,
    arf_service_filter: FILTER_SCALE,
    arf_config_filter: FILTER_SCALE,
    active_kernels_only: 'elsewhere',
    detection_updated_since: 'date',
    detection_updated_before: 'date',
    max_days_since_detection_updated: 'count',
    detection_processed_after: 'date',
    detection_processed_before: 'date',
    detection_last_tested_since: 'date',
    detection_last_tested_before: 'date',
    detection_last_tested_since_days: 'count',
    detection_last_tested_before_days: 'count',
  },
  onlyOne: [
    ...HOST_ONLY_ONE,
    ['detection_updated_since', 'max_days_since_detection_updated'],
    ['vm_scan_since', 'max_days_since_last_vm_scan'],
    ['no_vm_scan_since', 'max_days_since_last_vm_scan'],
    ['arf_kernel_filter', 'active_kernels_only'],
    ['detection_last_tested_since', 'detection_last_tested_since_days'],
    ['detection_last_tested_before', 'detection_last_tested_before_days'],
  ],
  notTogether: ['qids', 'severities'].flatMap((filter) =>
    ['titles', 'ids'].flatMap((by): [string, string][] => [
      [filter, `include_search_list_${by}`],
      [filter, `exclude_search_list_${by}`],
    ]),
  ),
}

export const KNOWLEDGE_BASE_RULES: ParamRules = {
  kinds: {
    ...OUTPUT,
    details: ['Basic', 'All', 'None'],
    ids: 'ids',
    id_min: 'id',
    id_max: 'id',
    is_patchable: 'flag',
    last_modified_after: 'date',
    last_modified_before: 'date',
    last_modified_by_user_after: 'elsewhere',
    last_modified_by_user_before: 'elsewhere',
    last_modified_by_service_after: 'date',
    last_modified_by_service_before: 'date',
    published_after: 'date',
    published_before: 'date',
    code_modified_after: 'date',
    code_modified_before: 'date',
    discovery_method: 'elsewhere',
    discovery_auth_types: 'elsewhere',
    show_pci_reasons: 'flag',
    show_supported_modules_info: 'flag',
    show_disabled_flag: 'flag',
    show_qid_change_log: 'flag',
  },
  onlyOne: [],
  notTogether: [],
}

export const ACTIVITY_LOG_RULES: ParamRules = {
  kinds: {
    user_action: 'text',
    action_details: 'text',
    username: 'text',
    since_datetime: 'date',
    until_datetime: 'date',
    user_role: 'text',
    output_format: ['CSV'],
    truncation_limit: 'count',
    id_max: 'id',
  },
  onlyOne: [],
  notTogether: [],
}
