/** The largest signed number of 64 bits. */
const ID_MAX = 9_223_372_036_854_775_807n

/** Whether an id can be kept as the number that it is in the store. */
export function isStorableId(id: string): boolean {
  return /^[1-9]\d{0,18}$/.test(id) && BigInt(id) <= ID_MAX
}
