import type { XmlNode } from '../../../lib/xml/tree.ts'
import type { DetectionRecord } from '../../../model/vm.ts'
import { type FieldTable } from '../fo-fields.ts'

/** What Qualys calls things in a host list detection answer (version 5.0). */
export const ROOT = 'HOST_LIST_VM_DETECTION_OUTPUT'
export const HOST_LIST = 'HOST_LIST'
export const HOST = 'HOST'
export const DETECTION_LIST = 'DETECTION_LIST'
export const DETECTION = 'DETECTION'

/** A detection while it is read; `qid` stays empty until it is known. */
export type DetectionDraft = DetectionRecord

export const DETECTION_FIELDS: FieldTable<DetectionDraft> = {
  leaves: {
    UNIQUE_VULN_ID: (detection, values) => {
      detection.uniqueVulnId = values.text()
    },
    QID: (detection, values) => {
      detection.qid = values.id() ?? ''
    },
    TYPE: (detection, values) => {
      detection.type = values.word()
    },
    SEVERITY: (detection, values) => {
      detection.severity = values.integer()
    },
    PORT: (detection, values) => {
      detection.port = values.integer()
    },
    PROTOCOL: (detection, values) => {
      detection.protocol = values.word()
    },
    FQDN: (detection, values) => {
      detection.fqdn = values.word()
    },
    SSL: (detection, values) => {
      detection.ssl = values.flag()
    },
    INSTANCE: (detection, values) => {
      detection.instance = values.word()
    },
    RESULTS: (detection, values) => {
      detection.results = values.text()
    },
    STATUS: (detection, values) => {
      detection.status = values.word()
    },
    FIRST_FOUND_DATETIME: (detection, values) => {
      detection.firstFoundMs = values.instant()
    },
    LAST_FOUND_DATETIME: (detection, values) => {
      detection.lastFoundMs = values.instant()
    },
    QDS: (detection, values) => {
      detection.qds = values.decimal()
    },
    TIMES_FOUND: (detection, values) => {
      detection.timesFound = values.integer()
    },
    LAST_TEST_DATETIME: (detection, values) => {
      detection.lastTestMs = values.instant()
    },
    LAST_UPDATE_DATETIME: (detection, values) => {
      detection.lastUpdateMs = values.instant()
    },
    LAST_FIXED_DATETIME: (detection, values) => {
      detection.lastFixedMs = values.instant()
    },
    FIRST_REOPENED_DATETIME: (detection, values) => {
      detection.firstReopenedMs = values.instant()
    },
    LAST_REOPENED_DATETIME: (detection, values) => {
      detection.lastReopenedMs = values.instant()
    },
    TIMES_REOPENED: (detection, values) => {
      detection.timesReopened = values.integer()
    },
    SERVICE: (detection, values) => {
      detection.service = values.word()
    },
    IS_IGNORED: (detection, values) => {
      detection.ignored = values.flag()
    },
    IS_DISABLED: (detection, values) => {
      detection.disabled = values.flag()
    },
    AFFECT_RUNNING_KERNEL: (detection, values) => {
      detection.affectRunningKernel = values.flag()
    },
    AFFECT_RUNNING_SERVICE: (detection, values) => {
      detection.affectRunningService = values.flag()
    },
    AFFECT_EXPLOITABLE_CONFIG: (detection, values) => {
      detection.affectExploitableConfig = values.flag()
    },
    LAST_PROCESSED_DATETIME: (detection, values) => {
      detection.lastProcessedMs = values.instant()
    },
  },
  // QDS_FACTORS, VULNERABILITY_DETECTION_SOURCES and what may come later: kept as they are.
  nodes: {} satisfies Record<string, (detection: DetectionDraft, node: XmlNode) => never>,
}

export const DETECTION_LEAF_NAMES: readonly string[] = Object.keys(DETECTION_FIELDS.leaves)
