import type pg from 'pg'

/** A pool or a client: what a query function needs. A function that must run in a transaction takes a `Tx`. */
export type Db = Pick<pg.ClientBase, 'query'>

/** A client inside a transaction. */
export type Tx = pg.PoolClient
