import { HubError } from '../model/errors.ts'
import type { ClosedAnswer } from '../model/source.ts'
import { type ModuleState, getModuleState, swapModuleState } from '../store/queries/module-state.ts'
import { markLeftOutSince } from '../store/queries/vulnerabilities.ts'
import { closeAnswer, keyOf, newAnswer, patiently, takeMessages } from './read-knowledge.ts'
import { type RunContext, RunLost, fenced } from './run-context.ts'

const WHOLE_MODULE = 'qualys.knowledge-base.whole'
/** Windows in one run: a run is not to last for hours because of what nobody may ever need. */
export const WINDOWS_PER_RUN_MAX = 25

/**
 * Reads the whole knowledge base, once for an integration. Each run reads some windows and remembers after which QID the
 * next one goes on, so that a run that dies, or ends, never begins anew. What changes meanwhile comes as changes do.
 */
export async function learnEverything(context: RunContext): Promise<void> {
  const progress = await Progress.load(context)
  if (progress.isWhole) return
  let windows = 0
  const isWhole = await patiently(context, async () => {
    if (windows >= WINDOWS_PER_RUN_MAX) return false
    let answer = newAnswer()
    const onClosed = async ({ upToId }: ClosedAnswer) => {
      await closeAnswer(context, answer)
      answer = newAnswer()
      if (upToId === undefined) return true
      await progress.moveTo(upToId)
      windows += 1
      return windows < WINDOWS_PER_RUN_MAX
    }
    const request = progress.afterQid === null ? {} : { afterId: progress.afterQid }
    await takeMessages(context, request, { answer: () => answer, onClosed })
    return windows < WINDOWS_PER_RUN_MAX
  })
  if (!isWhole) return
  if (progress.afterQid === null)
    throw new HubError('contract', 'The knowledge base says that it holds nothing at all, which cannot be.')
  await progress.finish()
}

/** How far the reading has come; it stands in the database after each window. */
class Progress {
  readonly #context: RunContext
  #state: ModuleState
  readonly #beganAt: Date

  private constructor(context: RunContext, state: ModuleState) {
    this.#context = context
    this.#state = state
    const beganAt = state.cursor['beganAt']
    this.#beganAt = typeof beganAt === 'string' ? new Date(beganAt) : new Date(context.deps.clock.nowMs())
  }

  static async load(context: RunContext): Promise<Progress> {
    const { deps, run } = context
    return new Progress(context, await getModuleState(deps.pool, run.integrationId, WHOLE_MODULE))
  }

  get isWhole(): boolean {
    return this.#state.lastFullAt !== null
  }

  get afterQid(): string | null {
    const afterQid = this.#state.cursor['afterQid']
    return typeof afterQid === 'string' ? afterQid : null
  }

  async moveTo(afterQid: string): Promise<void> {
    await this.#swap({ ...this.#state, cursor: { afterQid, beganAt: this.#beganAt.toISOString() } })
  }

  /** What was known before the reading began and did not come is not in the knowledge base any more. */
  async finish(): Promise<void> {
    const key = keyOf(this.#context)
    await fenced(this.#context, (tx) => markLeftOutSince(tx, { ...key, since: this.#beganAt }))
    await this.#swap({ ...this.#state, lastFullAt: key.now, cursor: {} })
  }

  async #swap(next: ModuleState): Promise<void> {
    const { deps, run } = this.#context
    const key = { integrationId: run.integrationId, module: WHOLE_MODULE, version: this.#state.version }
    if (!(await swapModuleState(deps.pool, key, next))) throw new RunLost()
    this.#state = await getModuleState(deps.pool, run.integrationId, WHOLE_MODULE)
  }
}
