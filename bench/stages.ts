import { Session } from 'node:inspector/promises'

/** Where the time of this process goes, by the file that the running function is in. */
const STAGES: readonly (readonly [stage: string, files: RegExp])[] = [
  ['waiting', /^\(idle\)$/],
  ['garbage collection', /^\(garbage collector\)$/],
  ['scanner', /lib\/xml\//],
  ['hashes', /detections\/identity|crypto/],
  ['fields', /sources\/qualys\//],
  ['gunzip (this side of it)', /zlib/],
  [
    'comparison',
    /engine\/ingest\/(known-host|source-keys|batch-ingest|row\.ts|finding-ids)|engine\/lifecycle/,
  ],
  ['rows', /store\/bulk|jsonb-text|row-sink/],
  ['database driver', /node_modules\/pg|pg-protocol|pg-copy/],
  ['HTTP', /undici|lib\/http/],
]

interface Node {
  id: number
  callFrame: { functionName: string; url: string }
}

/** The profiler of this process during one round. */
export class StageProfile {
  readonly #session: Session

  private constructor(session: Session) {
    this.#session = session
  }

  static async start(): Promise<StageProfile> {
    const session = new Session()
    session.connect()
    await session.post('Profiler.enable')
    await session.post('Profiler.start')
    return new StageProfile(session)
  }

  /** A table of CPU seconds per million detections; what runs in other threads (zlib) is not in it. */
  async stop(detections: number): Promise<string> {
    const { profile } = await this.#session.post('Profiler.stop')
    this.#session.disconnect()
    const stageOf = new Map((profile.nodes as Node[]).map(({ id, callFrame }) => [id, toStage(callFrame)]))
    const microseconds = new Map<string, number>()
    for (const [index, id] of (profile.samples ?? []).entries()) {
      const stage = stageOf.get(id) ?? 'other'
      microseconds.set(stage, (microseconds.get(stage) ?? 0) + (profile.timeDeltas?.[index] ?? 0))
    }
    const lines = [...microseconds].toSorted((a, b) => b[1] - a[1])
    return [
      '| stage | s/M |\n|---|---|',
      ...lines.map(([stage, time]) => `| ${stage} | ${(time / detections).toFixed(2)} |`),
    ].join('\n')
  }
}

function toStage({ functionName, url }: Node['callFrame']): string {
  const where = url === '' ? functionName : `${url} ${functionName}`
  return (
    STAGES.find(([, files]) => files.test(where))?.[0] ?? (url === '' ? `native ${functionName}` : 'other')
  )
}
