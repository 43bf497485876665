import t from 'tap'
import { readClient } from '../../../src/core/clients/client.ts'
import { createClient, listClients } from '../../../src/core/clients/clients.ts'
import { createSecretChecks } from '../../../src/core/clients/secrets.ts'
import { createTransact } from '../../../src/platform/transact.ts'
import { openTestDatabase } from '../../support/database.ts'
import { silentLog, silentMetrics } from '../../support/monitor.ts'

const { db, databaseBreaker } = await openTestDatabase(t)

t.test('the last use of a secret is kept, and no secret is', async (t) => {
  const at = Date.UTC(2026, 0, 1)
  const clock = { now: () => at }
  const { id, secret } = await createTransact(db)((tx) =>
    createClient(tx, new Date(at), { name: 'Robot', authMethod: 'client_secret', grantTypes: [] }),
  )
  const checks = createSecretChecks({
    db,
    databaseBreaker,
    clock,
    log: silentLog,
    metrics: silentMetrics,
  })
  const client = await readClient(db, id)
  t.ok(client && secret)
  if (!client || !secret) return
  t.notOk(checks.check(client, `${secret} `))
  t.notOk(checks.check(client, ''))
  t.ok(checks.check(client, secret))
  await checks.stop()
  t.match(await listClients(db), [{ secrets: [{ lastUsedAt: new Date(at) }] }])
  t.notOk(JSON.stringify(await db.clientSecret.findMany()).includes(secret))
  t.match(secret, /^cs1_[\w-]{43}$/, 'secret scanners can find it')
})
