import { singleLine } from '../../model/blocks.ts'
import { HubError, isHubError } from '../../model/errors.ts'
import type { TicketStatus, TransitionOutcome, TransitionTicket } from '../../model/ticket-destination.ts'
import { type JiraClient, pathPart } from './client.ts'
import { addCommentOnce } from './comments.ts'
import type { JiraSettings } from './fields.ts'
import { IssueStatus, type Transition, Transitions } from './schema.ts'
import { toStatus } from './snapshot.ts'

/** Steps of a configured path; a workflow that needs more is not walked. */
const HOPS_MAX = 8
/** What closing usually means, where the screen asks for a resolution and none is configured. */
const USUAL_RESOLUTIONS = ['Done', 'Fixed', 'Resolved']

interface Goal {
  to: TransitionTicket['to']
  /** Names of statuses, the best first. */
  preferred: readonly string[]
  path: readonly string[]
  resolutions: readonly string[]
}

/**
 * Brings a ticket to a status of the wanted category. Transition ids and names differ per workflow and language, so the
 * status they lead to decides. A ticket that is there already is left as it is.
 */
export async function transitionTicket(
  client: JiraClient,
  settings: JiraSettings,
  { request, signal }: { request: TransitionTicket; signal: AbortSignal },
): Promise<TransitionOutcome> {
  try {
    const before = await readStatus(client, request.ref.issueId, signal)
    const after = await walk(client, request.ref.issueId, {
      from: before,
      goal: toGoal(settings, request),
      signal,
    })
    if (request.comment !== undefined)
      await addCommentOnce(client, { ref: request.ref, ...request.comment }, signal)
    return { outcome: after === before ? 'unchanged' : 'changed', status: after }
  } catch (error) {
    if (isHubError(error, 'not_found')) return { outcome: 'gone', status: null }
    throw error
  }
}

function toGoal({ config }: JiraSettings, { to, resolution }: TransitionTicket): Goal {
  const resolutions = [resolution, config.resolution, ...USUAL_RESOLUTIONS].filter(
    (name) => name !== undefined,
  )
  return to === 'done'
    ? { to, preferred: config.closeStatuses, path: config.closePath, resolutions }
    : { to, preferred: config.reopenStatuses, path: config.reopenPath, resolutions: [] }
}

async function readStatus(client: JiraClient, issueId: string, signal: AbortSignal): Promise<TicketStatus> {
  const issue = await client.call(
    {
      method: 'GET',
      path: `/rest/api/3/issue/${pathPart(issueId)}`,
      query: { fields: 'status' },
      what: 'read a ticket',
      repeat: 'read',
    },
    IssueStatus,
    signal,
  )
  return toStatus(issue.fields.status)
}

async function walk(
  client: JiraClient,
  issueId: string,
  { from, goal, signal }: { from: TicketStatus; goal: Goal; signal: AbortSignal },
): Promise<TicketStatus> {
  let status = from
  const visited = new Set([from.name.toLowerCase()])
  for (let hop = 0; hop < HOPS_MAX; hop += 1) {
    if (reached(status, goal)) return status
    const next = chooseTransition(await listTransitions(client, issueId, signal), { goal, status, visited })
    await client.send(
      {
        method: 'POST',
        path: `/rest/api/3/issue/${pathPart(issueId)}/transitions`,
        body: {
          transition: { id: next.transition.id },
          ...(next.fields !== undefined && { fields: next.fields }),
        },
        what: `move a ticket from "${singleLine(status.name)}" to "${singleLine(next.transition.to.name)}"`,
        repeat: 'write',
      },
      signal,
    )
    status = toStatus(next.transition.to)
    visited.add(status.name.toLowerCase())
  }
  throw new HubError('config', `The workflow takes more than ${HOPS_MAX} steps to "${goal.to}".`, {
    code: 'workflow',
  })
}

function reached(status: TicketStatus, goal: Goal): boolean {
  return (status.category === 'done') === (goal.to === 'done')
}

async function listTransitions(
  client: JiraClient,
  issueId: string,
  signal: AbortSignal,
): Promise<Transition[]> {
  const { transitions } = await client.call(
    {
      method: 'GET',
      path: `/rest/api/3/issue/${pathPart(issueId)}/transitions`,
      query: { expand: 'transitions.fields' },
      what: 'list what can be done with a ticket',
      repeat: 'read',
    },
    Transitions,
    signal,
  )
  return transitions.filter((transition) => transition.isAvailable !== false)
}

interface Chosen {
  transition: Transition
  fields: { resolution: { id: string } | { name: string } } | undefined
}

/**
 * Pure. The best transition towards the goal: straight to the wanted category, by preference of name, then the furthest
 * step of the configured path. Throws a sentence for a person when there is none, or when its screen asks for more than
 * Patchbay knows.
 */
function chooseTransition(
  transitions: readonly Transition[],
  { goal, status, visited }: { goal: Goal; status: TicketStatus; visited: ReadonlySet<string> },
): Chosen {
  if (transitions.length === 0) throw noTransitions(goal)
  const direct = transitions
    .filter((transition) => reached(toStatus(transition.to), goal))
    .toSorted((a, b) => rank(a, goal) - rank(b, goal))
  const onPath = goal.path
    .toReversed()
    .filter((name) => !visited.has(name.toLowerCase()))
    .flatMap((name) => transitions.filter((transition) => sameName(transition.to.name, name)))
  const candidates = [...direct, ...onPath]
  if (candidates.length === 0) throw noWay(transitions, { goal, status })
  const judged = candidates.map((transition) => ({ transition, screen: screenFields(transition, goal) }))
  const passable = judged.find(({ screen }) => screen.missing.length === 0)
  if (passable !== undefined) return { transition: passable.transition, fields: passable.screen.fields }
  const [first] = judged
  throw new HubError(
    'config',
    `The transition "${singleLine(first?.transition.name ?? '')}" asks for ${first?.screen.missing.join(', ')}.`,
    {
      code: 'transition_screen',
      hint: 'Give these fields a default on the screen, or name a resolution in the integration.',
    },
  )
}

function rank(transition: Transition, goal: Goal): number {
  const preferred = goal.preferred.findIndex((name) => sameName(transition.to.name, name))
  if (preferred !== -1) return preferred
  // A reopened ticket belongs to the beginning of the board rather than to its middle.
  return goal.preferred.length + (goal.to === 'open' && transition.to.statusCategory.key !== 'new' ? 1 : 0)
}

function sameName(left: string, right: string): boolean {
  return left.toLowerCase() === right.toLowerCase()
}

/** What to send with the transition, and which required fields of its screen cannot be filled. */
function screenFields(transition: Transition, goal: Goal): { fields: Chosen['fields']; missing: string[] } {
  const { resolution, ...others } = transition.fields ?? {}
  const missing = Object.values(others)
    .filter((field) => field.required && field.hasDefaultValue !== true)
    .map((field) => `"${singleLine(field.name)}"`)
  if (resolution === undefined) return { fields: undefined, missing }
  const chosen = chooseResolution(resolution.allowedValues ?? [], goal)
  const needed = resolution.required && resolution.hasDefaultValue !== true
  if (chosen === undefined && needed) missing.push(`"${singleLine(resolution.name)}"`)
  return { fields: chosen && { resolution: chosen }, missing }
}

function chooseResolution(
  allowed: readonly unknown[],
  goal: Goal,
): { id: string } | { name: string } | undefined {
  const values = allowed
    .filter((value) => typeof value === 'object' && value !== null)
    .map((value) => value as Record<string, unknown>)
  for (const name of goal.resolutions) {
    const match = values.find((value) => typeof value['name'] === 'string' && sameName(value['name'], name))
    if (typeof match?.['id'] === 'string') return { id: match['id'] }
  }
  return undefined
}

function noTransitions({ to }: Goal): HubError {
  return new HubError(
    'permission',
    `Jira offers no transition to ${to === 'done' ? 'close' : 'reopen'} this ticket.`,
    {
      code: 'no_transition',
      hint: 'Give the account the permission "Transition issues" in the project, or look whether a workflow condition bars it.',
    },
  )
}

function noWay(
  transitions: readonly Transition[],
  { goal, status }: { goal: Goal; status: TicketStatus },
): HubError {
  const names = transitions.slice(0, 10).map((transition) => `"${singleLine(transition.to.name)}"`)
  return new HubError(
    'config',
    `From "${singleLine(status.name)}" no transition leads to ${goal.to === 'done' ? 'a closed' : 'an open'} status, only to ${names.join(', ')}.`,
    {
      code: 'workflow',
      hint: `Name the statuses on the way in the integration (${goal.to === 'done' ? 'closePath' : 'reopenPath'}).`,
    },
  )
}
