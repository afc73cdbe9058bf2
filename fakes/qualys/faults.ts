import type { EndpointName } from './call.ts'
import type { Estate, Host } from './estate/types.ts'
import { inRanges } from './params.ts'

/** Which calls a fault hits. Every condition that is given must hold. */
export interface FaultMatch {
  endpoint?: EndpointName | readonly EndpointName[]
  path?: string | RegExp
  method?: 'GET' | 'POST'
  /** Calls whose `ids` cover one of these, and calls without `ids`. */
  ids?: readonly string[]
  params?: Readonly<Record<string, string>>
  /** The first call that is hit, counted from 1 among those that fit the rest. */
  nth?: number
  /** How many calls are hit from there on; once when absent, `Infinity` for good. */
  times?: number
}

export type Half = number | 'half'

/** Answers instead of the real one. */
export type ReplacingFault =
  | { kind: 'status'; status: number; body?: string; contentType?: string; headers?: Record<string, string> }
  | { kind: 'html'; page: 'login' | 'maintenance'; status?: number }
  | { kind: 'empty'; status: 200 | 204 }
  | { kind: 'simple-return'; status?: number; code: number; text: string; items?: [string, string][] }
  | { kind: 'internal-error' }
  | { kind: 'maintenance' }
  | { kind: 'busy'; callsToFinish?: number }
  /** `tell`: where the wait is told; everywhere when absent. */
  | { kind: 'spent'; seconds: number; tell?: readonly ('header' | 'item' | 'text')[] }
  | { kind: 'too-many-requests'; waitSeconds?: number }
  | { kind: 'qps'; responseCode: string; message?: string; resolution?: string }
  | { kind: 'reset' }

/** Changes which hosts an answer holds, or where it says that the rest is. */
type PageFault =
  | { kind: 'drop-hosts'; ids?: readonly string[]; everyNth?: number }
  | { kind: 'empty-page' }
  | { kind: 'duplicate-page' }
  | { kind: 'duplicate-hosts' }
  | { kind: 'reordered-page' }
  | { kind: 'warning-url'; idMin?: 'same' | 'smaller' | 'not-a-number' | number; origin?: string }

/** Changes the text of the answer. `hostId` limits it to one host; the first one that has room when absent. */
export type TextFault =
  | { kind: 'prefix'; text: string }
  | { kind: 'suffix'; text: string }
  | { kind: 'no-prolog' }
  | { kind: 'entity-bomb' }
  | { kind: 'odd-comments' }
  | { kind: 'comments-after-root' }
  | { kind: 'two-host-lists' }
  | { kind: 'unknown-elements' }
  | { kind: 'in-results'; what: 'nul' | 'control' | 'invalid-utf8' | 'latin1'; hostId?: string }
  | { kind: 'generic-return'; afterItems?: number }

/** Changes how the bytes travel. */
type WireFault =
  | { kind: 'cut'; at: Half; how?: 'end' | 'destroy' }
  | { kind: 'cut-gzip'; at: Half; how?: 'end' | 'destroy' }
  | { kind: 'stall'; atByte: number; keepAliveEveryMs?: number; forMs?: number }
  | { kind: 'slow'; bytesPerSecond: number; fromByte?: number }

/** Changes the estate when the call arrives, for good: what a run meets when the world moves under it. */
type EstateFault =
  | { kind: 'estate'; run: (estate: Estate) => void }
  | { kind: 'hide-hosts'; ids: readonly string[] | ((host: Host) => boolean); from: readonly string[] }
  | { kind: 'remove-tag'; name: string }
  | { kind: 'merge-hosts'; from: string; to: string }
  | { kind: 'purge-host'; id: string }

export type Fault = ReplacingFault | PageFault | TextFault | WireFault | EstateFault

export interface FaultHandle {
  /** How many calls it has hit. */
  readonly hits: number
  remove(): void
  /** Lets stalled answers go on. */
  release(): void
}

export interface ActiveFault {
  fault: Fault
  released: Promise<void>
}

export interface FaultCall {
  endpoint: EndpointName | undefined
  method: string
  path: string
  params: Readonly<Record<string, string>>
}

interface Switch {
  match: FaultMatch
  fault: Fault
  seen: number
  hits: number
  released: Promise<void>
  release: () => void
}

/** What is broken at the moment. Faults are put in with `add`, hit the calls they match, and can be taken out again. */
export class FaultSwitchboard {
  #switches: Switch[] = []

  add(options: { match?: FaultMatch } & Fault): FaultHandle {
    const { match = {}, ...fault } = options
    const { promise, resolve } = Promise.withResolvers<void>()
    const entry: Switch = { match, fault, seen: 0, hits: 0, released: promise, release: resolve }
    this.#switches.push(entry)
    return {
      get hits() {
        return entry.hits
      },
      remove: () => {
        this.#switches = this.#switches.filter((other) => other !== entry)
        entry.release()
      },
      release: () => entry.release(),
    }
  }

  clear(): void {
    for (const entry of this.#switches) entry.release()
    this.#switches = []
  }

  /** The faults that hit this call; counts the call for all that it matches. */
  take(call: FaultCall): ActiveFault[] {
    const active: ActiveFault[] = []
    for (const entry of this.#switches) {
      if (!isMatch(entry.match, call)) continue
      entry.seen++
      const first = entry.match.nth ?? 1
      const times = entry.match.times ?? 1
      if (entry.seen < first || entry.seen >= first + times) continue
      entry.hits++
      active.push({ fault: entry.fault, released: entry.released })
    }
    return active
  }
}

function isMatch(match: FaultMatch, call: FaultCall): boolean {
  const { endpoint, path, method, ids, params } = match
  if (endpoint !== undefined && !wantedNames(endpoint).includes(call.endpoint ?? '')) return false
  if (typeof path === 'string' && call.path !== path) return false
  if (path instanceof RegExp && !path.test(call.path)) return false
  if (method !== undefined && call.method !== method) return false
  if (params !== undefined && Object.entries(params).some(([name, value]) => call.params[name] !== value))
    return false
  const asked = call.params['ids']
  return ids === undefined || asked === undefined || ids.some((id) => inRanges(rangesOf(asked), Number(id)))
}

function wantedNames(endpoint: EndpointName | readonly EndpointName[]): readonly string[] {
  return typeof endpoint === 'string' ? [endpoint] : endpoint
}

function rangesOf(text: string) {
  return text.split(',').map((item) => {
    const [min, max] = item.split('-')
    return { min: Number(min), max: Number(max ?? min) }
  })
}

/** The page faults of one call, in the form in which the list routes ask for them. */
export interface PageFaults {
  isDropped(id: string, position: number): boolean
  isReversed: boolean
  isDoubled: boolean
  /** Select with the parameters of the call before. */
  repeatsPrevious: boolean
  warning: { idMin?: 'same' | 'smaller' | 'not-a-number' | number; origin?: string } | undefined
}

export function pageFaultsOf(active: readonly ActiveFault[]): PageFaults {
  const faults = active.map(({ fault }) => fault)
  const drops = faults.filter((fault) => fault.kind === 'drop-hosts')
  const isEmpty = faults.some((fault) => fault.kind === 'empty-page')
  return {
    isDropped: (id, position) =>
      isEmpty ||
      drops.some((drop) =>
        drop.ids === undefined ? position % (drop.everyNth ?? 2) === 0 : drop.ids.includes(id),
      ),
    isReversed: faults.some((fault) => fault.kind === 'reordered-page'),
    isDoubled: faults.some((fault) => fault.kind === 'duplicate-hosts'),
    repeatsPrevious: faults.some((fault) => fault.kind === 'duplicate-page'),
    warning: faults.find((fault) => fault.kind === 'warning-url'),
  }
}

export function changeEstate(estate: Estate, fault: Fault): void {
  if (fault.kind === 'estate') fault.run(estate)
  else if (fault.kind === 'remove-tag') estate.removeTag(fault.name)
  else if (fault.kind === 'merge-hosts') estate.override(fault.from, { mergedInto: fault.to })
  else if (fault.kind === 'purge-host') estate.override(fault.id, { purged: true })
  else if (fault.kind === 'hide-hosts') {
    const change = { hiddenFrom: fault.from, silent: true }
    if (typeof fault.ids === 'function') estate.overrideAll(change, fault.ids)
    else for (const id of fault.ids) estate.override(id, change)
  }
}
