import { BlockList, isIP, isIPv4 } from 'node:net'

/** IPv4 ranges that are not the public Internet (IANA special-purpose registry, multicast, reserved). */
const IPV4_SPECIAL: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]

/** Ranges inside 2000::/3 that are not hosts of the public Internet, or that wrap an IPv4 address (6to4, Teredo). */
const IPV6_SPECIAL: readonly (readonly [string, number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]

const ipv4Special = new BlockList()
for (const [network, prefix] of IPV4_SPECIAL) ipv4Special.addSubnet(network, prefix, 'ipv4')
const ipv6Special = new BlockList()
for (const [network, prefix] of IPV6_SPECIAL) ipv6Special.addSubnet(network, prefix, 'ipv6')
const ipv6Unicast = new BlockList()
ipv6Unicast.addSubnet('2000::', 3, 'ipv6')
const ipv4Mapped = new BlockList()
ipv4Mapped.addSubnet('::ffff:0:0', 96, 'ipv6')

/** Whether an IP address (no zone, no brackets) belongs to the public Internet. What is not an address is not global. */
export function isGlobalAddress(address: string): boolean {
  const plain = unmapIpv4(address)
  if (isIPv4(plain)) return !ipv4Special.check(plain, 'ipv4')
  if (isIP(plain) === 0) return false
  return ipv6Unicast.check(plain, 'ipv6') && !ipv6Special.check(plain, 'ipv6')
}

/** The addresses that the configuration allows although they are not global. */
export interface AddressSet {
  has(address: string): boolean
}

/**
 * Parses `10.1.2.0/24`, `10.1.2.3`, `fd00::/8`, `::1`.
 * @throws RangeError with a sentence that names the bad entry.
 */
export function parseCidrs(cidrs: readonly string[]): AddressSet {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [network = '', prefixText, ...rest] = cidr.trim().split('/')
    const family = isIP(network)
    const bits = family === 4 ? 32 : 128
    const prefix = prefixText === undefined ? bits : Number(prefixText)
    const isPrefixText = prefixText === undefined || /^\d{1,3}$/.test(prefixText)
    if (family === 0 || rest.length > 0 || !isPrefixText || prefix > bits) {
      throw new RangeError(`"${cidr}" is not a network such as 10.1.2.0/24 or fd00::/8.`)
    }
    list.addSubnet(network, prefix, family === 4 ? 'ipv4' : 'ipv6')
  }
  return {
    has: (address) => {
      const plain = unmapIpv4(address)
      const family = isIP(plain)
      return family !== 0 && list.check(plain, family === 4 ? 'ipv4' : 'ipv6')
    },
  }
}

/** `::ffff:10.0.0.1` and `::ffff:a00:1` are 10.0.0.1 to the network, so they are judged as it. */
function unmapIpv4(address: string): string {
  if (isIP(address) !== 6 || !ipv4Mapped.check(address, 'ipv6')) return address
  const tail = address.slice(address.lastIndexOf(':') + 1)
  if (isIPv4(tail)) return tail
  const [high = '0', low = '0'] = address.split(':').slice(-2)
  const value = (Number.parseInt(high || '0', 16) << 16) | Number.parseInt(low || '0', 16)
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
}
