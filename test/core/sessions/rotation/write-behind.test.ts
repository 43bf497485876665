import pg from 'pg'
import t from 'tap'
import { bytes } from '../../../../src/core/sessions/family-hash.ts'
import { rotate } from '../../../support/failover.ts'
import { startServer } from '../../../support/server.ts'

t.test('a session that a transaction holds keeps no other one from the ledger', async (t) => {
  const server = await startServer(t, { env: { LEDGER_FLUSH_MS: '60000' } })
  const { sessions } = server.app.services
  const account = await server.createAccount()
  const hashOf = (token: string) => bytes(sessions.parse(token)?.familyHash as string)
  const generationOf = async (token: string) =>
    (await server.db.session.findUniqueOrThrow({ where: { familyHash: hashOf(token) } })).generation
  const [held, free, deleted] = await Promise.all(
    [1, 2, 3].map(async () => (await server.login(account)).refresh_token),
  )
  if (!held || !free || !deleted) throw new Error('no sessions')
  const before = [await generationOf(held), await generationOf(free)]
  for (const token of [held, free, deleted]) await rotate(server, token)
  await server.db.session.delete({ where: { familyHash: hashOf(deleted) } })

  const holder = new pg.Client({ connectionString: server.databaseUrl })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('BEGIN')
  await holder.query('SELECT FROM sessions WHERE family_hash = $1 FOR UPDATE', [hashOf(held)])
  await sessions.flush()
  t.strictSame([await generationOf(held), await generationOf(free)], [before[0], Number(before[1]) + 1])
  await holder.query('COMMIT')
  await sessions.flush()
  t.strictSame(await generationOf(held), Number(before[0]) + 1)
})
