import type { Integration, IntegrationPage, Rule } from '../api/resources.ts'
import { HubError } from '../model/errors.ts'
import { singleLine } from '../model/blocks.ts'
import type { ApiClient } from './client.ts'

const INTEGRATIONS_MAX = 1_000

export function nameOf(integration: Integration): string {
  const { name } = integration.config
  return typeof name === 'string' ? name : String(integration.id)
}

/** By id or by name; without either, the only one that there is. */
export async function findIntegration(
  client: ApiClient,
  wanted: string | undefined,
  filter: { type?: string } = {},
): Promise<Integration> {
  const page = await client.get<IntegrationPage>('/integrations', { pagelen: INTEGRATIONS_MAX, ...filter })
  return pick(page.values, wanted, {
    what: filter.type === 'vaplugin' ? 'source' : 'integration',
    names: (integration) => [String(integration.id), nameOf(integration)],
    hint: 'Add one: patchbay integration add --help',
  })
}

export async function findRule(client: ApiClient, wanted: string | undefined): Promise<Rule> {
  const { data } = await client.get<{ data: Rule[] }>('/rules')
  return pick(data, wanted, {
    what: 'rule',
    names: (rule) => [rule.id, rule.name],
    hint: 'The built-in rule is there once a Qualys and a Jira integration are.',
  })
}

function pick<Item>(
  items: readonly Item[],
  wanted: string | undefined,
  about: { what: string; names: (item: Item) => string[]; hint: string },
): Item {
  const { what, names, hint } = about
  const list = items.map((item) => `"${singleLine(names(item)[1] ?? '')}"`).join(', ')
  if (wanted === undefined) {
    const [only, second] = items
    if (only === undefined) throw new HubError('not_found', `There is no ${what}.`, { hint })
    if (second === undefined) return only
    throw new HubError('not_found', `There is more than one ${what}; say which.`, {
      hint: `There are ${list}.`,
    })
  }
  const found = items.find((item) => names(item).includes(wanted))
  if (found !== undefined) return found
  throw new HubError('not_found', `There is no ${what} "${singleLine(wanted)}".`, {
    hint: items.length === 0 ? hint : `There are ${list}.`,
  })
}
