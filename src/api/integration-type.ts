/** What the API has to know of a type of integration; the composition root knows the modules behind it. */
export interface IntegrationType {
  type: string
  subtype: string
  title: string
  /** Sealed always, never given back, asked for again when `targetFields` change. */
  secretFields: readonly string[]
  /** Sealed as well when `sensitiveFields` names them. */
  sealableFields: readonly string[]
  /** Where the secrets are sent to. */
  targetFields: readonly string[]
  actions: readonly { name: string; description: string }[]
  /** What to look at when a connection test fails. */
  hints: readonly string[]
  /** The whole configuration, secrets included, with its defaults. Throws `HubError('config')` without the values. */
  validate(config: unknown): Record<string, unknown>
  /** Of a valid configuration of a source: within one owner an id names one host. Absent where no ids are read. */
  ownerOfIds?: (config: Record<string, unknown>) => string
  /** Never throws for what it tests. */
  test(config: Record<string, unknown>, signal: AbortSignal): Promise<TestReport>
}

export interface TestReport {
  ok: boolean
  checks: readonly TestCheck[]
}

export interface TestCheck {
  name: string
  ok: boolean
  message: string
  hint: string | null
}
