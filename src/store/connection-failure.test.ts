import { expect, test } from 'vitest'
import { HubError } from '../model/errors.ts'
import { isConnectionLost } from './connection-failure.ts'

const failure = (message: string, more: object = {}) => Object.assign(new Error(message), more)

test('a database that is gone for now is told from one that answers with an error, and from everything else', () => {
  const lost = [
    failure('connect ECONNREFUSED 192.0.2.1:5432', { code: 'ECONNREFUSED', syscall: 'connect' }),
    // A server that ends takes its socket along.
    failure('connect ENOENT /run/postgresql/.s.PGSQL.5432', { code: 'ENOENT', syscall: 'connect' }),
    new AggregateError([failure('connect ECONNREFUSED ::1:5432', { code: 'ECONNREFUSED' })], ''),
    failure('terminating connection due to administrator command', { code: '57P01' }),
    failure('the database system is starting up', { code: '57P03' }),
    failure('sorry, too many clients already', { code: '53300' }),
    failure('connection failure', { code: '08006' }),
    failure('Connection terminated unexpectedly'),
    failure('Connection terminated due to connection timeout'),
    failure('timeout exceeded when trying to connect'),
    failure('Client has encountered a connection error and is not queryable'),
  ]
  expect(lost.filter((error) => !isConnectionLost(error))).toEqual([])
  const others = [
    failure('open master.key', { code: 'ENOENT', syscall: 'open' }),
    failure('password authentication failed', { code: '28P01' }),
    failure('canceling statement due to lock timeout', { code: '55P03' }),
    failure('deadlock detected', { code: '40P01' }),
    failure('No space left on device', { code: '53100' }),
    failure('division by zero', { code: '22012' }),
    failure('The operation was aborted due to timeout', { code: 23 }),
    failure('a bug'),
    new HubError('transient', 'Connection terminated.'),
    'Connection terminated unexpectedly',
  ]
  expect(others.filter((error) => isConnectionLost(error))).toEqual([])
})
