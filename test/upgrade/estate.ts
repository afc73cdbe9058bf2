import type { EstateOptions } from '../../fakes/qualys/estate/types.ts'

/** What the hub that wrote `data/000002.sql` had seen, so that a later one finds the same again. */
export const UPGRADE_ESTATE: EstateOptions = {
  day0Ms: Date.UTC(2026, 9, 1),
  hosts: [
    {
      id: '1001',
      tags: ['Servers'],
      detections: [
        { qid: '90001', status: 'Active', port: 443, protocol: 'tcp', ssl: 1 },
        { qid: '90002', status: 'Re-Opened', qds: 72 },
        { qid: '90003', type: 'Info', severity: 1 },
      ],
    },
    {
      id: '1002',
      detections: [
        { qid: '90001', status: 'New' },
        { qid: '90002', status: 'Fixed' },
      ],
    },
    { id: '1003', detections: [{ qid: '90004', status: 'Active', ignored: true }] },
  ],
  kb: [
    {
      qid: '90001',
      severity: 5,
      vendorReferences: [{ id: 'KB5030001', url: 'https://vendor.example.com/KB5030001' }],
      cves: [{ id: 'CVE-2026-0001', url: 'https://cve.example.com/CVE-2026-0001' }],
    },
    {
      qid: '90002',
      severity: 4,
      vendorReferences: [{ id: 'RHSA-2026:0002', url: 'https://vendor.example.com/2' }],
    },
    { qid: '90003', severity: 1, vulnType: 'Information Gathered' },
    { qid: '90004', severity: 3 },
  ],
}
