import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { test } from '../../test/support/database.ts'
import { SILENT } from '../../test/support/hub.ts'
import { systemClock } from '../lib/clock.ts'
import { openDatabase } from './database.ts'

test('a data folder that cannot be locked beside a database of our own is refused with a sentence', async ({
  emptyDatabaseUrl,
}) => {
  const home = await mkdtemp(join(tmpdir(), 'patchbay-database-'))
  await mkdir(join(home, 'lock'))
  const options = { home, databaseUrl: emptyDatabaseUrl, clock: systemClock, log: SILENT }
  await expect(openDatabase({ ...options, takesFolder: true })).rejects.toMatchObject({
    kind: 'config',
    message: expect.stringContaining(`Patchbay could not lock the data folder ${home}`),
  })
  await rm(home, { recursive: true })
})
