import { type Block, cutBlocks } from '../../model/blocks.ts'
import { HubError, isHubError } from '../../model/errors.ts'
import { type AddComment, REF_PROPERTY } from '../../model/ticket-destination.ts'
import { adfDoc, blocksToAdf } from './adf.ts'
import { type JiraClient, pathPart } from './client.ts'
import { EDGE_REFUSED } from './errors.ts'
import { COMMENT_CHARS_MAX, withoutCode } from './fields.ts'
import { CommentList, CommentPage } from './schema.ts'

const PAGE_COMMENTS = 100
/** Jira Cloud keeps at most 5,000 comments per issue. */
const PAGES_MAX = 51

/** Adds a comment unless one with this key is there: the key travels in a property of the comment itself. */
export async function addCommentOnce(
  client: JiraClient,
  request: AddComment,
  signal: AbortSignal,
): Promise<'added' | 'exists' | 'gone'> {
  try {
    if (request.mayExist !== false && (await hasComment(client, request, signal))) return 'exists'
    await post(client, request, { blocks: request.blocks, signal })
    return 'added'
  } catch (error) {
    if (isHubError(error, 'not_found')) return 'gone'
    if (!(error instanceof HubError && error.code === EDGE_REFUSED)) throw error
    await post(client, request, { blocks: withoutCode(request.blocks), signal })
    return 'added'
  }
}

async function post(
  client: JiraClient,
  { ref, commentKey }: AddComment,
  { blocks, signal }: { blocks: readonly Block[]; signal: AbortSignal },
): Promise<void> {
  const content = blocksToAdf(cutBlocks(blocks, COMMENT_CHARS_MAX).blocks)
  if (content.length === 0) throw new HubError('contract', 'A comment needs a text.')
  await client.send(
    {
      method: 'POST',
      path: `/rest/api/3/issue/${pathPart(ref.issueId)}/comment`,
      body: {
        body: adfDoc(content),
        properties: [{ key: REF_PROPERTY, value: { v: 1, comment: commentKey } }],
      },
      what: 'add a comment',
      repeat: 'write',
    },
    signal,
  )
}

async function hasComment(client: JiraClient, request: AddComment, signal: AbortSignal): Promise<boolean> {
  let seen = 0
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const { comments, total } = await listPage(client, request.ref.issueId, { startAt: seen, signal })
    if (comments.length === 0) return false
    // A list of comments comes without their properties; a list by ids can have them.
    const ids = comments.map((comment) => Number(comment.id))
    if (await anyHasKey(client, ids, { commentKey: request.commentKey, signal })) return true
    seen += comments.length
    if (seen >= total) return false
  }
  throw new HubError('contract', 'Jira lists more comments than a ticket can have.')
}

async function listPage(
  client: JiraClient,
  issueId: string,
  { startAt, signal }: { startAt: number; signal: AbortSignal },
): Promise<{ comments: { id: string }[]; total: number }> {
  return client.call(
    {
      method: 'GET',
      path: `/rest/api/3/issue/${pathPart(issueId)}/comment`,
      query: { startAt: String(startAt), maxResults: String(PAGE_COMMENTS), orderBy: '-created' },
      what: 'list the comments of a ticket',
      repeat: 'read',
    },
    CommentPage,
    signal,
  )
}

async function anyHasKey(
  client: JiraClient,
  ids: readonly number[],
  { commentKey, signal }: { commentKey: string; signal: AbortSignal },
): Promise<boolean> {
  const { values } = await client.call(
    {
      method: 'POST',
      path: '/rest/api/3/comment/list',
      query: { expand: 'properties' },
      body: { ids },
      what: 'read comments',
      repeat: 'read',
    },
    CommentList,
    signal,
  )
  return values.some((comment) =>
    (comment.properties ?? []).some(
      ({ key, value }) => key === REF_PROPERTY && commentKeyOf(value) === commentKey,
    ),
  )
}

function commentKeyOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)['comment']
    : undefined
}
