import type { Campaign, EstateOptions } from './types.ts'

export interface Settings {
  seed: number
  hosts: number
  detectionsPerHost: number
  resultBytes: number
  day0Ms: number
  scanShare: number
  newShare: number
  fixShare: number
  reopenShare: number
  purgeShare: number
  mergeShare: number
  retagShare: number
  hostGrowth: number
  campaigns: readonly Campaign[]
}

export const DAY0_MS_DEFAULT = Date.UTC(2026, 2, 2)
/** Above this the numbers of the detections of one host would run into those of the host merged into it. */
const DETECTIONS_PER_HOST_MAX = 20_000
const HOSTS_MAX = 10_000_000

const DEFAULTS: Settings = {
  seed: 1,
  hosts: 0,
  detectionsPerHost: 40,
  resultBytes: 300,
  day0Ms: DAY0_MS_DEFAULT,
  scanShare: 0.92,
  newShare: 0.015,
  fixShare: 0.012,
  reopenShare: 0.15,
  purgeShare: 0.002,
  mergeShare: 0.002,
  retagShare: 0.004,
  hostGrowth: 0.003,
  campaigns: [],
}

export function settingsOf(options: EstateOptions): Settings {
  const { hosts: wanted, extraHosts: _extra, kb: _kb, clock: _clock, ...shares } = options
  const settings = { ...DEFAULTS, ...shares, hosts: typeof wanted === 'number' ? wanted : 0 }
  if (settings.detectionsPerHost > DETECTIONS_PER_HOST_MAX) {
    throw new RangeError(
      `detectionsPerHost is at most ${DETECTIONS_PER_HOST_MAX}; give one host more with override({ bulk }).`,
    )
  }
  if (settings.hosts > HOSTS_MAX) throw new RangeError(`An estate has at most ${HOSTS_MAX} generated hosts.`)
  return settings
}
