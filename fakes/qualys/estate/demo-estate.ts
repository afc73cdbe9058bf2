import { createEstate } from './create-estate.ts'
import type { Estate } from './types.ts'

/**
 * The estate of the demo: 500 hosts, about 20,000 detections, made for the days 0 to 3. One Windows update is installed
 * everywhere by day 2 and gone again from some hosts on day 3; one Red Hat update is installed everywhere on day 1.
 */
export function createDemoEstate(options: { day0Ms?: number; hosts?: number } = {}): Estate {
  return createEstate({
    seed: 7,
    hosts: options.hosts ?? 500,
    detectionsPerHost: 40,
    ...(options.day0Ms === undefined ? {} : { day0Ms: options.day0Ms }),
    campaigns: [
      { family: 'windows', patchIndex: 0, fixDays: [1, 2], reopenDay: 3, reopenShare: 0.3 },
      { family: 'rhel', patchIndex: 2, fixDays: [1] },
    ],
  })
}
