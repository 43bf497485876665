import t from 'tap'
import { becomes } from '../../support/eventually.ts'
import { startServer } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'

const OLD = 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all'
const NEW = 'another-secret-for-tests-of-at-least-32-bytes-newer-than-all'

t.test(
  'after a new secret came in front, the old one can go: keys and authenticator apps go on',
  async (t) => {
    const first = await startServer(t)
    const account = await first.createAccount()
    const { access_token: bearer } = await first.login(account)
    const { secret } = (await first.post('/auth/mfa/totp', { password: account.password }, { bearer })).body
    await first.post('/auth/mfa/totp/confirm', { code: totpCode(secret, Date.now(), -1) }, { bearer })
    const before = await first.db.totpFactor.findFirstOrThrow()

    const { databaseUrl } = first
    const rotating = await startServer(t, {
      databaseUrl,
      env: { APP_SECRETS: `${NEW},${OLD}`, LOG_LEVEL: 'info' },
    })
    await becomes(
      t,
      () => rotating.logs.some((line) => /newest of APP_SECRETS/.test(line)),
      'said when it is done',
    )
    const after = await first.db.totpFactor.findFirstOrThrow()
    t.notSame(after.sealedSecret, before.sealedSecret)
    t.equal((await rotating.call('GET', '/me', { bearer })).status, 200)

    const rotated = await startServer(t, { databaseUrl, env: { APP_SECRETS: NEW } })
    t.equal((await rotated.call('GET', '/me', { bearer })).status, 200)
    const { mfa_token } = (await rotated.post('/auth/login', { ...account, transport: 'body' })).body
    const answer = await rotated.post('/auth/login/mfa', { mfa_token, code: totpCode(secret, Date.now(), 1) })
    t.equal(answer.status, 200)
  },
)

t.test('what no secret opens is said, and stops nothing', async (t) => {
  const server = await startServer(t)
  await server.createAccount()
  const { id: userId } = await server.db.user.findFirstOrThrow()
  const sealedSecret = new Uint8Array(48)
  await server.db.totpFactor.create({ data: { userId, sealedSecret, createdAt: new Date() } })
  const { databaseUrl } = server
  const other = await startServer(t, {
    databaseUrl,
    env: { APP_SECRETS: `${NEW},${OLD}`, LOG_LEVEL: 'info' },
  })
  await becomes(
    t,
    () => other.logs.some((line) => /cannot be decrypted with any of APP_SECRETS/.test(line)),
    'a warning',
  )
  t.equal((await other.call('GET', '/healthz')).status, 200)
})
