import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type FakeJira, startFakeJira } from '../fakes/jira/fake-jira.ts'
import { createDemoEstate } from '../fakes/qualys/estate/demo-estate.ts'
import { estateClock } from '../fakes/qualys/estate/estate-clock.ts'
import type { Estate } from '../fakes/qualys/estate/types.ts'
import { type FakeQualys, startFakeQualys } from '../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../fakes/qualys/users.ts'
import { type Clock, systemClock } from '../src/lib/clock.ts'
import { type Hub, startHub } from '../src/main.ts'
import { HubClient } from './hub-client.ts'
import { changesSince, tellDay } from './story.ts'

/**
 * The whole way in a minute: a simulated Qualys and a simulated Jira, a hub with its own database, and four days. The
 * hub speaks to both as it speaks to the real ones, over HTTP; it does not know that they are simulated.
 */
const DAYS = 4
const DAY_0_MS = Date.UTC(2026, 9, 5)
const LOOK_AGAIN_MS = 200
const LOOKS_MAX = 300

interface World {
  estate: Estate
  clock: Clock
  qualys: FakeQualys
  jira: FakeJira
  hub: Hub
  home: string
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { once: { type: 'boolean', default: false } } })
  const world = await startWorld()
  const interrupted = nextInterrupt()
  try {
    const live = liveDays(world)
    await Promise.race([live, interrupted])
    if (!values.once) await stayUp(world, interrupted)
  } finally {
    await stopWorld(world)
  }
}

async function startWorld(): Promise<World> {
  const home = await mkdtemp(join(tmpdir(), 'patchbay-demo-'))
  const estate = createDemoEstate({ day0Ms: DAY_0_MS })
  const clock = estateClock(estate)
  const qualys = await startFakeQualys({ estate, clock })
  const jira = await startFakeJira({ clock })
  const hub = await startHub({ home, clock, port: 0, allowedCidrs: ['127.0.0.0/8'] })
  say(`Patchbay demo: a simulated Qualys subscription, a simulated Jira, and a hub with its own database.
Everything is spoken over HTTP on this machine, and nothing leaves it.

  Qualys  ${qualys.url}   500 hosts, about 20,000 detections
  Jira    ${jira.url}   project VULN
  Hub     ${hub.url}   data in ${home}, removed at the end`)
  return { estate, clock, qualys, jira, hub, home }
}

async function stopWorld({ hub, qualys, jira, home }: World): Promise<void> {
  await hub.close()
  await Promise.all([qualys.close(), jira.close()])
  await rm(home, { recursive: true, force: true })
}

async function liveDays(world: World): Promise<void> {
  const hub = new HubClient(world.hub.url, world.hub.token)
  const qualysId = await connectBoth(hub, world)
  let ticketShown = ''
  for (let day = 0; day < DAYS; day += 1) {
    if (day > 0) world.estate.setDay(day)
    const startedMs = world.clock.nowMs()
    const { data } = await hub.post<{ data: { run: { id: string } } }>(
      `/integrations/${qualysId}?action=sync&force=true${day === 0 ? '&mode=full' : ''}`,
    )
    const runId = data.run.id
    await hub.untilEnd(runId)
    const seconds = (world.clock.nowMs() - startedMs) / 1000
    if (day === 0) await enableRule(hub)
    const changes = await changesSince(hub, startedMs)
    const date = new Date(startedMs).toISOString().slice(0, 10)
    say(await tellDay(hub, { number: day, date, runId, seconds, changes }))
    ticketShown = changes.find((change) => change.op === 'reopen')?.ticket.id ?? ticketShown
  }
  await showTicket(hub, ticketShown)
}

async function connectBoth(hub: HubClient, { qualys, jira }: World): Promise<number> {
  const saved = await hub.post<{ data: { id: number } }>('/integrations', {
    type: 'vaplugin',
    subtype: 'qualys',
    config: {
      name: 'demo subscription',
      url: qualys.url,
      username: DEFAULT_USER.username,
      password: DEFAULT_USER.password,
      privatePlatform: true,
      allowedCidrs: ['127.0.0.0/8'],
    },
  })
  await hub.post('/integrations', {
    type: 'ticketing',
    subtype: 'jira',
    config: {
      name: 'demo jira',
      url: jira.url,
      email: jira.email,
      apiToken: jira.apiToken,
      projectKey: 'VULN',
    },
  })
  return saved.data.id
}

/** A new rule is off until its preview has been seen: so it is here. */
async function enableRule(hub: HubClient): Promise<void> {
  const [rule] = await hub.all<{ id: string; name: string }>('/rules')
  if (rule === undefined) throw new Error('There is no built-in rule.')
  const { counts } = await hub.get<{ counts: { create: number } }>(`/rules/${rule.id}/preview`)
  say(`
Rule "${rule.name}": confirmed, severity 4 and 5, patch available; one ticket per patch.
  Its preview would create ${counts.create} tickets. It is switched on.`)
  await hub.post(`/rules/${rule.id}?action=enable`)
  await untilMade(hub, counts.create)
}

/** Tickets are sent in the background; their number is known from the preview. */
async function untilMade(hub: HubClient, tickets: number): Promise<void> {
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    const made = await hub.all('/tickets?state=open')
    if (made.length >= tickets) return
    await systemClock.sleep(LOOK_AGAIN_MS)
  }
  throw new Error(`The tickets were not made within ${(LOOKS_MAX * LOOK_AGAIN_MS) / 1000} seconds.`)
}

async function showTicket(hub: HubClient, id: string): Promise<void> {
  const ticket = await hub.get<{
    issueKey: string
    summary: string
    text: string
    changes: { op: string; reason: string }[]
  }>(`/tickets/${id}`)
  const line = '─'.repeat(100)
  say(`
One ticket, as Jira has it now:
${line}
${ticket.issueKey}  ${ticket.summary}

${ticket.text}
${line}
Why it stands so:
${ticket.changes
  .filter((change) => change.op !== 'update')
  .map((change) => `  ${change.op.padEnd(8)} ${change.reason}`)
  .join('\n')}`)
}

async function stayUp({ hub, home }: World, interrupted: Promise<void>): Promise<void> {
  say(`
The hub stays up; look around in another terminal:
  export PATCHBAY_HOME=${home}
  npx patchbay run list
  npx patchbay finding list --state open --severity 5
  npx patchbay ticket list
Ctrl-C ends it and removes its data. (${hub.url})`)
  await interrupted
}

function nextInterrupt(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

await main()
