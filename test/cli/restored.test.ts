import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { startRedis } from '../../src/dev/embedded/redis.ts'
import { openDatabase } from '../../src/platform/database.ts'
import { createPerson } from '../support/administrator.ts'
import { createApp } from '../support/authorization.ts'
import type { Answer } from '../support/caller.ts'
import { copyDatabase, createTestDatabase } from '../support/database.ts'
import { addTotp } from '../support/factors.ts'
import { refresh, rotate } from '../support/failover.ts'
import { registrations } from '../support/oauth.ts'
import { runRatchet } from '../support/ratchet.ts'
import { startServer, type TestServer } from '../support/server.ts'

type Person = Awaited<ReturnType<typeof createPerson>>

/** A Redis of this file alone: the command reads all families that there are. */
async function ownRedis(t: Test): Promise<Record<string, string>> {
  const { url, incarnation, stop } = await startRedis()
  t.teardown(stop)
  return { REDIS_URL: url, ...(incarnation ? { REDIS_INCARNATION: incarnation } : {}) }
}

// Without the grace window a replaced token is a reuse at once.
const redisEnv: Record<string, string> = { ...(await ownRedis(t)), REFRESH_GRACE: '0' }
const original = await createTestDatabase()
t.teardown(original.drop)

/** Runs a server on a database until a task is done. */
async function withServer<T>(
  databaseUrl: string,
  env: Record<string, string>,
  task: (server: TestServer) => Promise<T>,
): Promise<T> {
  const server = await startServer(t, { databaseUrl, env })
  const result = await task(server)
  await server.close()
  return result
}

// An assertion outside a test would end the file.
function demand({ status, text }: Answer, wanted: number): void {
  if (status !== wanted) throw new Error(text)
}

const restored = (databaseUrl: string, env: Record<string, string>, ...args: string[]) =>
  runRatchet(['restored', ...args], {
    NODE_ENV: 'test',
    DATABASE_URL: databaseUrl,
    APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
    ...env,
  })

const before = await withServer(original.url, redisEnv, async (server) => {
  const person = () => createPerson(server)
  const [stays, leaves, changes, deletes, distrusts] = [
    await person(),
    await person(),
    await person(),
    await person(),
    await person(),
  ]
  const other = await server.login(changes.account)
  await addTotp(server, distrusts, Date.now())
  const registry = registrations(server)
  const app = await createApp(
    server,
    registry,
    { [await registry.resource('read')]: 'read' },
    { authMethod: 'none' },
  )
  const withdraws = await person()
  const { body: granted } = await app.redeem(await app.code(withdraws.account, { scope: 'read' }))
  const forgot = await person()
  await server.post('/auth/request-password-reset', { email: forgot.email })
  const link = await server.lastToken(forgot.email)
  await server.db.factorReset.create({
    data: {
      userId: distrusts.id,
      requestedBy: 'somebody',
      requestedAt: new Date(),
      effectiveAt: new Date(Date.now() + 86_400_000),
    },
  })
  await server.app.services.sessions.flush()
  return { stays, leaves, changes, other, deletes, distrusts, withdraws, granted, client: app.id, link }
})
const backup = await copyDatabase(original.url)
t.teardown(backup.drop)
const second = await copyDatabase(original.url)
t.teardown(second.drop)
const third = await copyDatabase(original.url)
t.teardown(third.drop)
const fourth = await copyDatabase(original.url)
t.teardown(fourth.drop)
const backupOf = new Date().toISOString()

const after = await withServer(original.url, redisEnv, async (server) => {
  const { stays, leaves, changes, deletes, withdraws, client } = before
  const bearerOf = async ({ account }: Person) => (await server.login(account)).access_token
  let kept = stays.refresh_token
  for (let turn = 0; turn < 3; turn++) kept = await rotate(server, kept)
  await server.post('/auth/logout', { refresh_token: leaves.refresh_token })
  const passwords = {
    current_password: changes.account.password,
    new_password: 'quite another long passphrase',
  }
  const change = await server.post('/auth/change-password', passwords, { bearer: await bearerOf(changes) })
  demand(change, 204)
  const { password } = deletes.account
  const deletion = await server.call('DELETE', '/me', { body: { password }, bearer: await bearerOf(deletes) })
  demand(deletion, 204)
  const bearer = await bearerOf(withdraws)
  demand(await server.call('DELETE', `/auth/grants?client_id=${client}`, { bearer }), 204)
  const registered = await createPerson(server)
  const begun = await server.login(stays.account)
  return { kept, registered, begun }
})
const { stays } = before

t.test('wrong times are refused before anything is read', async (t) => {
  const run = (...args: string[]) => restored(backup.url, redisEnv, ...args)
  await t.rejects(run(), { code: 2, stderr: /--backup-of is missing/ })
  for (const time of ['yesterday', '2026-11-29', '2026-11-29T03:00:00', '2026-13-01T00:00:00Z'])
    await t.rejects(run('--backup-of', time), { code: 2, stderr: /must be a time with its zone/ }, time)
  const future = new Date(Date.now() + 3_600_000).toISOString()
  await t.rejects(run('--backup-of', future), { code: 2, stderr: /in the future/ })
  const early = await run('--backup-of', '2026-01-01T00:00:00Z').catch((error) => error)
  t.match(early, { code: 1, stderr: /the newest entry is of 20.*--all/s })
  const noRedis = { ...redisEnv, REDIS_URL: 'redis://127.0.0.1:1' }
  const alone = await restored(backup.url, noRedis, '--backup-of', backupOf).catch((error) => error)
  t.match(alone, { code: 1, stderr: /Redis is unavailable/ })
})

t.test('without --yes it says what it would do, and changes nothing', async (t) => {
  const redis = new Redis(redisEnv.REDIS_URL as string)
  t.teardown(async () => redis.disconnect())
  const keys = async () => (await redis.keys('*')).sort()
  const known = await keys()
  const dry = await restored(backup.url, redisEnv, '--backup-of', backupOf).catch((error) => error)
  t.match(dry, { code: 1, stderr: /nothing was changed; confirm with --yes/ })
  t.match(dry.stdout, /^\d+ sessions? kept/)
  t.strictSame(await keys(), known)
  await withServer(backup.url, await ownRedis(t), async (server) => {
    t.equal(await server.db.session.count({ where: { endedAt: { not: null } } }), 0)
    t.equal(await server.db.factorReset.count(), 1)
  })
})

t.test('what Redis knows stays true; what nobody knows ends', async (t) => {
  const { stdout } = await restored(backup.url, redisEnv, '--backup-of', backupOf, '--yes', '--json')
  const report = JSON.parse(stdout)
  t.match(report, {
    backup_of: backupOf,
    sessions_ended_before: { logout: 1, account_deleted: 1, grant_withdrawn: 1 },
    grants_withdrawn: 1,
    keys_replaced: 1,
    factor_resets_withdrawn: 1,
  })
  t.ok(report.sessions_begun_since >= 2)
  t.ok(report.links_voided >= 1)
  const byHand: string = report.by_hand.join('\n')
  t.match(byHand, `${before.deletes.email}: the account was deleted`)
  t.match(byHand, `ratchet users delete ${before.deletes.id}`)
  t.match(byHand, `${before.changes.email}: the password was changed`)
  t.match(byHand, 'DELETE /me')

  await withServer(backup.url, redisEnv, async (server) => {
    t.equal((await server.call('GET', '/me', { bearer: stays.bearer })).status, 401, 'its key is distrusted')
    const kept = await server.db.session.findUniqueOrThrow({ where: { id: stays.session.id } })
    t.equal(kept.generation, 3, 'the ledger knows how far it has moved')
    const { body } = await refresh(server, after.kept)
    t.ok(body.access_token, 'an honest person stays signed in')
    t.equal((await server.call('GET', '/me', { bearer: body.access_token })).status, 200)
    t.match(
      (await refresh(server, stays.refresh_token)).body,
      { reason: 'reuse_detected' },
      'a thief does not',
    )

    for (const [what, token, reason] of [
      ['a sign-out', before.leaves.refresh_token, 'logout'],
      ['a deletion', before.deletes.refresh_token, 'account_deleted'],
      ['a change of password', before.other.refresh_token, 'password_changed'],
      ['a session that began since', after.begun.refresh_token, 'backup_restored'],
      ['an account that is lost', after.registered.refresh_token, 'backup_restored'],
    ] as const) {
      const answer = await refresh(server, token)
      t.match(answer.body, { status: 401, code: 'session_ended', reason }, what)
    }
    t.equal(await server.db.grant.count(), 0)
    const reset = { token: before.link, password: 'a password of a reader of the mail' }
    t.match((await server.post('/auth/reset-password', reset)).body, { code: 'token_invalid' })
    t.equal(await server.db.factorReset.count(), 0)
    t.match(await server.db.auditEvent.findMany({ where: { type: 'backup_restore' } }), [
      { outcome: 'success', actor: /^command line/ },
    ])
    t.ok((await server.login(before.leaves.account)).access_token, 'everybody can sign in again')
  })
})

t.test('it can be repeated after nodes have run: what began since the restore stays', async (t) => {
  const session = await withServer(backup.url, redisEnv, (server) => server.login(before.leaves.account))
  const refused = await restored(backup.url, redisEnv, '--backup-of', backupOf, '--yes').catch(
    (error) => error,
  )
  t.match(refused, { code: 1, stderr: /--all/ })
  const { stdout } = await restored(backup.url, redisEnv, '--backup-of', backupOf, '--yes', '--all', '--json')
  t.match(JSON.parse(stdout), { sessions_kept: 0, sessions_begun_since: 0, keys_replaced: 0 })
  await withServer(backup.url, redisEnv, async (server) => {
    t.equal((await refresh(server, session.refresh_token)).status, 200)
  })
})

t.test('with an empty Redis every session of the backup ends', async (t) => {
  const empty = await ownRedis(t)
  const { stdout } = await restored(second.url, empty, '--backup-of', backupOf, '--yes', '--json')
  const report = JSON.parse(stdout)
  t.match(report, { sessions_kept: 0, sessions_ended_before: {}, sessions_begun_since: 0 })
  t.ok(report.sessions_ended > 0)
  t.ok(report.people > 0)
  await withServer(second.url, empty, async (server) => {
    for (const token of [after.kept, stays.refresh_token, before.leaves.refresh_token])
      t.match((await refresh(server, token)).body, { code: 'session_ended', reason: 'backup_restored' })
    const { access_token: bearer } = await server.login(stays.account)
    const { body } = await server.call('GET', '/auth/sessions?ended=true', { bearer })
    t.ok(
      body.sessions.some((session: { ended?: string }) =>
        JSON.stringify(session).includes('backup_restored'),
      ),
    )
  })
})

t.test('what was taken back from a client is found among many sessions', async (t) => {
  const { db, close } = openDatabase({ url: fourth.url })
  t.teardown(close)
  // The session in which it was allowed ends too, and with it those of clients, long before these are reached.
  const between = await db.$executeRaw`
    INSERT INTO sessions (id, family_hash, client_id, transport, scope, amr, rotated_at, auth_time, created_at,
      last_used_at, idle_expires_at, absolute_expires_at)
    SELECT (left(p.id::text, 24) || 'ffffff' || lpad(to_hex(n), 6, '0'))::uuid, sha256(n::text::bytea), p.client_id,
      p.transport, p.scope, p.amr, p.rotated_at, p.auth_time, p.created_at, p.last_used_at, p.idle_expires_at,
      p.absolute_expires_at
    FROM sessions c JOIN sessions p ON p.id = c.parent_id, generate_series(1, 1000) AS n`
  t.equal(between, 1_000)
  const { stdout } = await restored(fourth.url, redisEnv, '--backup-of', backupOf, '--yes', '--json')
  t.match(JSON.parse(stdout), { grants_withdrawn: 1 })
  t.equal(await db.grant.count(), 0)
})

t.test('a run that was interrupted is repeated, and takes everything back', async (t) => {
  const { db, close } = openDatabase({ url: third.url })
  t.teardown(close)
  await db.$executeRaw`CREATE FUNCTION interrupt() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE; END'`
  await db.$executeRaw`CREATE TRIGGER interrupt BEFORE DELETE ON grants EXECUTE FUNCTION interrupt()`
  await t.rejects(restored(third.url, redisEnv, '--backup-of', backupOf, '--yes'))
  await db.$executeRaw`DROP TRIGGER interrupt ON grants`
  t.equal(await db.grant.count(), 1)
  const { stdout } = await restored(
    third.url,
    redisEnv,
    '--backup-of',
    new Date().toISOString(),
    '--yes',
    '--json',
  )
  t.match(JSON.parse(stdout), { grants_withdrawn: 1 })
  t.equal(await db.grant.count(), 0)
})
