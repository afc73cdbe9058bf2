import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Database } from './databases.ts'

const ASK_MS_MAX = 60_000
const ASK_AGAIN_MS = 50
/** Whoever stands still may hold what we want to lock or to change; the next look tries again. */
const OPTIONS = '-c lock_timeout=200ms -c statement_timeout=30s'
const BATCH_HOSTS = 50
const LOCK_NOT_AVAILABLE = '55P03'

/** What a run has come to, as the database tells it. */
export interface Progress {
  newestRun: { id: string; state: string; message: string | null } | null
  /** Nothing waits, nothing is on its way, and tickets are decided. */
  isDone: boolean
  isRunning: boolean
  /** A process of ours works in the database right now, and not only waits for another. */
  isBusy: boolean
  /** Changes whenever anything moves on. */
  text: string
}

/** Looks into the database while it is restarted under our hands. */
export class View {
  readonly #database: Database
  readonly #whileAway: () => void
  #pool: pg.Pool | undefined

  /** `whileAway` is called again and again while the database does not answer. */
  constructor(database: Database, whileAway: () => void) {
    this.#database = database
    this.#whileAway = whileAway
  }

  /** Asks again as long as nobody answers. */
  async ask<Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return this.withPool(async (pool) => (await pool.query<Row>(sql, values)).rows)
  }

  async withPool<T>(use: (pool: pg.Pool) => Promise<T>): Promise<T> {
    const deadlineMs = Date.now() + ASK_MS_MAX
    for (;;) {
      try {
        return await use(await this.#connect())
      } catch (error) {
        await this.close()
        if (!isAboutConnection(error) || Date.now() > deadlineMs) throw error
        this.#whileAway()
        await delay(ASK_AGAIN_MS)
      }
    }
  }

  async #connect(): Promise<pg.Pool> {
    if (this.#pool !== undefined) return this.#pool
    const config = await this.#database.clientConfig()
    const pool = new pg.Pool({ ...config, application_name: 'onlooker', max: 4, options: OPTIONS })
    pool.on('error', () => undefined)
    pool.on('connect', (client) => client.on('error', () => undefined))
    return (this.#pool ??= pool)
  }

  async close(): Promise<void> {
    const pool = this.#pool
    this.#pool = undefined
    await pool?.end()
  }

  /** Holds a table until the connection is released; undefined while somebody else has it. */
  async lock(table: string): Promise<pg.PoolClient | undefined> {
    return this.withPool(async (pool) => {
      const client = await pool.connect()
      try {
        await client.query(`begin; lock table ${table} in exclusive mode`)
        return client
      } catch (error) {
        client.release(true)
        if (isLocked(error)) return undefined
        throw error
      }
    })
  }

  async progress(): Promise<Progress> {
    const [row] = await this.ask<
      Pick<Progress, 'newestRun' | 'text' | 'isBusy'> & { jobs: number; isPlanned: boolean; opsOpen: number }
    >(
      `with newest as (
         select id::text, state, phase, message, tickets_planned_at, waiting_reason from run order by run.id desc limit 1
       ), job as (
         select count(*)::int as waiting from graphile_worker.jobs
          where task_identifier in ('sync', 'plan-tickets', 'push-tickets', 'resume-runs') and locked_at is null and attempts < max_attempts
       ), op as (
         select count(*) filter (where o.state in ('waiting', 'sending') and t.state <> 'review')::int as open,
                string_agg(concat_ws(' ', o.id, o.op, o.state, o.tries), ',' order by o.id)
                  filter (where o.state in ('waiting', 'sending')) as text
           from outbox o join ticket t on t.id = o.ticket_id
       )
       select (select jsonb_build_object('id', id, 'state', state, 'message', message) from newest) as "newestRun",
              (select waiting from job) as jobs, (select open from op) as "opsOpen",
              (select exists (select 1 from pg_stat_activity
                  where datname = current_database() and application_name <> 'onlooker' and state <> 'idle'
                    and backend_type = 'client backend' and wait_event_type is distinct from 'Lock')) as "isBusy",
              (select tickets_planned_at is not null from newest) as "isPlanned",
              jsonb_build_array((select to_jsonb(newest) from newest), (select waiting from job), (select text from op),
                (select count(*) from finding), (select count(*) from vulnerability), (select count(*) from ticket),
                (select string_agg(concat_ws(' ', b.id, b.state, b.attempt), ',' order by b.id)
                   from batch b join newest on newest.id = b.run_id::text))::text as text`,
    )
    if (row === undefined) throw new Error('A query of one row came back empty.')
    const { newestRun, jobs, isPlanned, opsOpen, isBusy, text } = row
    const isGood = newestRun?.state === 'COMPLETE' || newestRun?.state === 'PARTIAL'
    const isDone = isGood && isPlanned && jobs === 0 && opsOpen === 0 && !isBusy
    return { newestRun, text, isBusy, isRunning: !isGood, isDone }
  }

  /**
   * What time does to whatever a process held that does not renew it: it runs out. `isDead` is false for one that only
   * stands still, and for less than the life of a claim on a change to a ticket.
   */
  async letExpire(pid: number, isDead: boolean): Promise<void> {
    const past = `clock_timestamp() - interval '1 second'`
    const holder = `%:${pid}:%`
    await this.ask(`update lease set expires_at = ${past} where holder like $1`, [holder])
    await this.ask(`update slot set expires_at = ${past} where holder like $1`, [holder])
    const claims = isDead ? ['batch', 'outbox'] : ['batch']
    for (const table of claims)
      await this.ask(
        `update ${table} set claim_expires_at = ${past} where claimed_by like $1 and claim_expires_at is not null`,
        [holder],
      )
  }

  /** Claims on changes to tickets are not renewed: minutes later those of the living have run out as well. */
  async letSendsExpire(): Promise<void> {
    await this.ask(
      `update outbox set claim_expires_at = clock_timestamp() - interval '1 second' where state = 'sending'`,
    )
  }

  /** As small as they get, so that a run has several. */
  async makeBatchesSmall(integrationId: string): Promise<void> {
    await this.ask(
      `insert into module_state (integration_id, module, cursor) values ($1, 'qualys.detections', $2)
       on conflict (integration_id, module) do update set cursor = module_state.cursor || excluded.cursor`,
      [integrationId, { batchHosts: BATCH_HOSTS }],
    )
  }

  /** The queue runs on real time: what it was told to do later is due now. */
  async hurryJobs(): Promise<void> {
    await this.ask(
      `update graphile_worker._private_jobs set run_at = now() where locked_at is null and run_at > now()`,
    )
  }

  /** Jobs that were taken minutes ago, for whoever judges by that whether they are still in somebody's hands. */
  async ageJobs(): Promise<void> {
    await this.ask(
      `update graphile_worker._private_jobs set locked_at = locked_at - interval '2 minutes' where locked_at is not null`,
    )
  }

  /** The earliest hour before which something may not be done again, if it is in the future of `nowMs`. */
  async nextHourMs(nowMs: number): Promise<number | null> {
    const [row] = await this.ask<{ at: Date | null }>(
      `select min(at) as at from (
         select not_before as at from batch where state = 'waiting'
         union all select not_before from outbox where state = 'waiting'
         union all select not_before from quota
         union all select waiting_until from run where state = 'RUNNING') t
        where isfinite(at) and at > $1`,
      [new Date(nowMs)],
    )
    return row?.at?.getTime() ?? null
  }

  /** The process whose statement waits for this table, if one does. */
  async whoWaitsFor(table: string): Promise<number | null> {
    const [row] = await this.ask<{ name: string }>(
      `select a.application_name as name from pg_locks l join pg_stat_activity a using (pid)
        where l.relation = $1::regclass and l.database = (select oid from pg_database where datname = current_database())
          and not l.granted and a.application_name like 'process %' limit 1`,
      [table],
    )
    return row === undefined ? null : Number(row.name.slice('process '.length))
  }
}

/** Somebody else holds what we wanted. */
export function isLocked(error: unknown): boolean {
  return (error as { code?: string }).code === LOCK_NOT_AVAILABLE
}

/** The server ends or starts, or its password file is not written yet. */
function isAboutConnection(error: unknown): boolean {
  const { code = '', message = '' } = error as { code?: string; message?: string }
  return (
    ['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE', '57P01', '57P02', '57P03', '53300', '3D000'].includes(
      code,
    ) || /terminat|Connection ended|not queryable|timeout/i.test(message)
  )
}
