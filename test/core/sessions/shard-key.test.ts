import t from 'tap'
import { statementsOf } from '../../support/costs.ts'
import { startServer } from '../../support/server.ts'

// A cluster of databases that is divided by family answers such a statement on one node.
t.test('every statement about one session names its family', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const { sessions } = server.app.services
  const statements = statementsOf(t)
  const refresh = async (token: string) => (await server.post('/auth/refresh', { refresh_token: token })).body

  const signedIn = await server.login(account)
  const warm = await refresh(signedIn.refresh_token)
  await sessions.flush()
  await server.redis.flushdb()
  const cold = await refresh(warm.refresh_token)
  await sessions.flush()
  const { refresh_token: token } = await refresh(cold.refresh_token)
  t.equal((await server.post('/auth/logout', { refresh_token: token })).status, 204)

  const reused = await server.login(account)
  await refresh((await refresh(reused.refresh_token)).refresh_token)
  await server.age(60_000)
  t.match(await refresh(reused.refresh_token), { code: 'session_ended', reason: 'reuse_detected' })

  const offline = await server.login(account)
  server.app.services.redisBreaker.recordFailure(new Error('for this test'))
  const onLedger = await refresh(offline.refresh_token)
  t.ok(onLedger.refresh_token)

  const ofThisTest = /^\s*UPDATE sessions SET rotated_at = rotated_at -/
  const about = statements().filter((text) => /\bsessions\b/.test(text) && !ofThisTest.test(text))
  const kinds = new Set(about.map((text) => text.replace(/\s+/g, ' ')))
  t.ok(kinds.size >= 7, `${kinds.size} statements`)
  // Where a statement is about a user, the user's sessions are on many nodes.
  const named = /INSERT INTO sessions|WHERE [^;]*family_hash (=|IN)|ON s\.family_hash =|user_id = /
  const nameless = [...kinds].filter((text) => !named.test(text))
  t.strictSame(nameless, [])
})
