import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { getLastContent, listOpsOf } from '../../store/queries/outbox.ts'
import { blocksToText } from '../../model/blocks-text.ts'
import { type TicketRow, getTicket, listTickets } from '../../store/queries/tickets.ts'
import type { ApiDeps } from '../deps.ts'
import { Id, PageQuery, pageOf, toPage } from '../paging.ts'
import { Ticket, TicketReport } from '../resources.ts'
import { PROBLEMS, json, newRoutes, notFound, toInstant } from './shared.ts'

const CHANGES_SHOWN_MAX = 500

const listRoute = createRoute({
  method: 'get',
  path: '/tickets',
  operationId: 'listTickets',
  summary: 'Tickets, oldest first',
  request: { query: PageQuery.extend({ ruleId: Id.optional(), state: Ticket.shape.state.optional() }) },
  responses: { 200: json(pageOf(Ticket), 'A page of tickets.'), ...PROBLEMS },
})

const getRoute = createRoute({
  method: 'get',
  path: '/tickets/{id}',
  operationId: 'getTicket',
  summary: 'A ticket with every change that was decided about it, and why',
  request: { params: z.object({ id: Id }) },
  responses: { 200: json(TicketReport, 'The ticket.'), ...PROBLEMS },
})

export function ticketRoutes({ pool }: ApiDeps): OpenAPIHono {
  const app = newRoutes()
  app.openapi(listRoute, async (context) => {
    const { limit, after, ruleId, state } = context.req.valid('query')
    const rows = await listTickets(pool, { ruleId, state, afterId: after, limit: limit + 1 })
    return context.json(toPage(rows, limit, { item: toTicket, cursor: (row) => row.id }), 200)
  })
  app.openapi(getRoute, async (context) => {
    const { id } = context.req.valid('param')
    const ticket = await getTicket(pool, id)
    if (ticket === null) throw notFound(`ticket ${id}`)
    const ops = await listOpsOf(pool, id, CHANGES_SHOWN_MAX)
    const changes = ops.map(({ createdAt, doneAt, ...op }) => ({
      ...op,
      createdAt: createdAt.toISOString(),
      doneAt: toInstant(doneAt),
    }))
    const content = await getLastContent(pool, id)
    const text = content === null ? null : blocksToText(content.blocks)
    const { hashLabel, previousTicketId } = ticket
    return context.json({ ...toTicket(ticket), hashLabel, previousTicketId, text, changes }, 200)
  })
  return app
}

function toTicket(row: TicketRow): Ticket {
  const { id, ruleId, state, issueKey, url, summary, groupKey, generation, reviewReason } = row
  return {
    id,
    ruleId,
    state,
    issueKey,
    url,
    summary,
    groupKey,
    generation,
    reviewReason,
    createdAt: row.createdAt.toISOString(),
    pushedAt: toInstant(row.pushedAt),
    closedAt: toInstant(row.closedAt),
  }
}
