/**
 * Everything random about the estate is a hash of (seed, who, what): nothing is remembered, any detail can be asked for
 * in any order, and the same seed always gives the same estate.
 */
export function hash32(seed: number, a: number, b = 0, salt = 0): number {
  let h = mix(seed | 0, a | 0)
  h = mix(h, b | 0)
  h = mix(h, salt | 0)
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  h ^= h >>> 16
  return h >>> 0
}

/** A number in [0, 1). */
export function unit(seed: number, a: number, b = 0, salt = 0): number {
  return hash32(seed, a, b, salt) / 0x1_0000_0000
}

/** FNV-1a, for things that are known by text only. */
export function hashText(text: string, seed = 0x811c9dc5): number {
  let h = seed | 0
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h ^= h >>> 15
  return Math.imul(h, 0x2c1b3c6d) >>> 0
}

/** How many trials until the first success, 1 or more, when each succeeds with probability `p`. */
export function trialsUntil(u: number, p: number): number {
  if (p <= 0) return Number.POSITIVE_INFINITY
  if (p >= 1) return 1
  return 1 + Math.floor(Math.log(1 - u) / Math.log(1 - p))
}

export function pick<T>(list: readonly T[], hash: number): T {
  const item = list[hash % list.length]
  if (item === undefined) throw new RangeError('Nothing can be picked from an empty list.')
  return item
}

/** A UUID made of four hashes, with the version and variant bits of version 4. */
export function uuidOf(seed: number, a: number, salt: number): string {
  const hex = (n: number) => hash32(seed, a, n, salt).toString(16).padStart(8, '0')
  const all = hex(1) + hex(2) + hex(3) + hex(4)
  return `${all.slice(0, 8)}-${all.slice(8, 12)}-4${all.slice(13, 16)}-a${all.slice(17, 20)}-${all.slice(20)}`
}

/** One number per use, so that two properties of one host are independent. */
export const Salt = {
  scanOffset: 1,
  scanned: 2,
  purge: 3,
  merge: 4,
  os: 5,
  tracking: 6,
  uuid: 7,
  tags: 8,
  retag: 9,
  size: 10,
  offset: 11,
  stride: 12,
  born: 13,
  fix: 14,
  reopen: 15,
  refix: 16,
  life: 17,
  newborn: 18,
  type: 19,
  ignored: 20,
  qds: 21,
  results: 22,
  id: 23,
  knowledge: 24,
  campaign: 25,
  cloud: 26,
  empty: 27,
  port: 28,
  kernel: 29,
  found: 30,
} as const

function mix(state: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51)
  k = (k << 15) | (k >>> 17)
  let h = state ^ Math.imul(k, 0x1b873593)
  h = (h << 13) | (h >>> 19)
  return (Math.imul(h, 5) + 0xe6546b64) | 0
}
