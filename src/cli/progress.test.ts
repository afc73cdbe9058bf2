import { expect, test } from 'vitest'
import type { Ledger, RunProgress } from '../api/run-resources.ts'
import { ManualClock } from '../lib/clock.ts'
import { ProgressLine, progressText } from './progress.ts'

const NOTHING: Ledger = {
  module: 'qualys.detections',
  batches: 10,
  batchesDone: 0,
  batchesOwed: 0,
  batchesOpen: 10,
  batchesSplit: 0,
  requestedHosts: 1_000,
  receivedHosts: 0,
  receivedRecords: 0,
  unexpectedHosts: 0,
  emptyHosts: 0,
  askedAgainHosts: 0,
  missingRecords: 0,
  newRecords: 0,
  changedRecords: 0,
  seenRecords: 0,
  unchangedRecords: 0,
  olderRecords: 0,
  quarantinedRecords: 0,
  collidedRecords: 0,
  staleRecords: 0,
  repairedChars: 0,
  bytes: '0',
}

function progressOf(ledger: Partial<Ledger>, run: Partial<RunProgress['run']> = {}): RunProgress {
  return {
    run: {
      id: '12',
      integrationId: '1',
      trigger: 'manual',
      mode: 'delta',
      modeReason: 'asked for what changed',
      state: 'RUNNING',
      phase: 'fetching',
      message: null,
      warnings: [],
      scopeDrift: null,
      visibleHosts: 2_000,
      expectedHosts: 1_000,
      watermarkFrom: null,
      watermarkTo: null,
      waitingUntil: null,
      waitingReason: null,
      startedAt: '2026-10-01T12:00:00.000Z',
      finishedAt: null,
      ...run,
    },
    ledger: [{ ...NOTHING, ...ledger }],
    needsPerson: false,
    tickets: { planning: false, done: 0, waiting: 0, later: 0, nextAt: null },
  }
}

function recorded(isTTY: boolean) {
  const written: string[] = []
  return { written, output: { isTTY, columns: 60, write: (text: string) => written.push(text) } }
}

test('a line of progress names hosts, detections, speed, batches and what is waited for', () => {
  const ledger = { receivedHosts: 320, receivedRecords: 12_345, batchesDone: 3, batchesOpen: 7 }
  const wait = { waitingUntil: '2026-10-01T13:37:00.000Z', waitingReason: 'the budget is spent' }
  expect(progressText(progressOf(ledger, wait), 1_234.4)).toBe(
    'run 12 (delta) fetching: hosts 320/1,000, 12,345 detections (1,234/s), batch 3 of 10, ' +
      'waiting until 13:37:00Z: the budget is spent',
  )
})

test('off a terminal a line comes with a step, with 10 % and with 30 seconds, and not otherwise', () => {
  const clock = new ManualClock(0)
  const { written, output } = recorded(false)
  const line = new ProgressLine(output, clock)
  const done = (batchesDone: number, receivedRecords: number) =>
    line.show(progressOf({ batches: 100, batchesDone, batchesOpen: 100 - batchesDone, receivedRecords }))
  done(0, 0)
  for (let second = 1; second <= 9; second += 1) {
    clock.advance(1_000)
    done(second, second * 100)
  }
  expect(written).toHaveLength(1)
  done(10, 1_000)
  expect(written).toHaveLength(2)
  expect(written[1]).toContain('(111/s)')
  clock.advance(30_000)
  done(11, 1_100)
  expect(written).toHaveLength(3)
  line.show(progressOf({}, { waitingUntil: '2026-10-01T13:37:00.000Z' }))
  expect(written).toHaveLength(4)
  expect(written.every((text) => text.endsWith('\n'))).toBe(true)
})

test('on a terminal one line is redrawn, at most ten times a second, never wider than the terminal', () => {
  const clock = new ManualClock(0)
  const { written, output } = recorded(true)
  const line = new ProgressLine(output, clock)
  for (let step = 0; step < 20; step += 1) {
    line.show(progressOf({ receivedRecords: step }))
    clock.advance(50)
  }
  expect(written).toHaveLength(10)
  for (const text of written) {
    expect(text.startsWith('\r\u001B[2K')).toBe(true)
    expect(text.slice(5).length).toBeLessThan(60)
  }
  line.clear()
  expect(written.at(-1)).toBe('\r\u001B[2K')
})

test('what Qualys says cannot drive the terminal', () => {
  const text = progressText(
    progressOf({}, { waitingUntil: '2026-10-01T13:37:00.000Z', waitingReason: '\u001B[31m\nred' }),
    0,
  )
  expect(['\u001B', '\n'].filter((character) => text.includes(character))).toEqual([])
})
