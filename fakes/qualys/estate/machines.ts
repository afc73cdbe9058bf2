import type { Detection, DetectionSpec, Estate, Host, HostSpec } from './types.ts'

/**
 * What happens to machines rather than to hosts: each is made of the estate's own operations, so that an estate in which
 * none of it happens stays as it is.
 */

/** What is the same on a machine under whatever host id it is known. */
function machineOf(host: Host): Partial<HostSpec> {
  return {
    qgHostId: host.qgHostId,
    cloudProvider: host.cloudProvider,
    cloudService: host.cloudService,
    cloudResourceId: host.cloudResourceId,
    ec2InstanceId: host.ec2InstanceId,
    serialNumber: host.serialNumber,
    hardwareUuid: host.hardwareUuid,
    os: host.os,
    dns: host.dns,
    netbios: host.netbios,
    ip: host.ip,
    trackingMethod: host.trackingMethod,
  }
}

/**
 * The same machine under a new host id, as after a purge when its agent reports again: what is open on it is found for
 * the first time, today. The host of before is purged, unless it stays on the list for a while.
 */
export function provisionAgain(
  estate: Estate,
  from: string,
  to: HostSpec,
  options: { keepsOld?: boolean } = {},
): void {
  const old = estate.host(from)
  if (old === undefined) throw new Error(`There is no host ${from} to take over from.`)
  const open = [...estate.detections(from)].filter((detection) => detection.status !== 'Fixed')
  estate.addHost({
    ...machineOf(old),
    firstFound: estate.nowMs(),
    tags: old.tags,
    detections: open.map(foundAnew),
    ...to,
  })
  if (options.keepsOld !== true) estate.override(from, { purged: true })
}

/** Two hosts that are one machine become one: the loser's id is gone, what was found on it is listed under the winner. */
export function merge(estate: Estate, loser: string, winner: string): void {
  estate.override(loser, { mergedInto: winner })
  estate.override(winner, {})
}

/**
 * Another machine answers at the address of a host that is tracked by it: Qualys keeps the host id, calls what the new
 * machine does not have fixed, and what it has too goes on with the dates of the machine before.
 */
export function reuseAddress(
  estate: Estate,
  hostId: string,
  machine: Partial<Omit<Host, 'id' | 'tags'>>,
  options: { alsoHas: readonly string[] },
): void {
  const detections = [...estate.detections(hostId)].map(
    ({ qid }) => ({ match: { qid }, change: options.alsoHas.includes(qid) ? 'see-again' : 'fix' }) as const,
  )
  const none = { netbios: undefined, qgHostId: undefined, serialNumber: undefined, hardwareUuid: undefined }
  estate.override(hostId, { host: { ...none, ...machine }, detections })
}

function foundAnew(detection: Detection): DetectionSpec {
  const { qid, type, severity, port, protocol, fqdn, ssl, instance, service, qds } = detection
  return { qid, type, severity, port, protocol, fqdn, ssl, instance, service, qds, status: 'New' }
}
