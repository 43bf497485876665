import t from 'tap'
import { movableClock, startServer, twenty } from '../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { clock })

async function registered() {
  const email = server.freshEmail()
  await server.post('/auth/register', { email, password: server.password })
  return { email, token: await server.lastToken(email) }
}

t.test('opening the link does not use it up; its page works without scripts', async (t) => {
  const { email, token } = await registered()
  for (const method of ['HEAD', 'GET', 'GET']) {
    t.equal((await server.call(method, `/auth/verify-email?token=${token}`)).status, 200)
  }
  const page = await server.call('GET', `/auth/verify-email?token=${token}`)
  t.match(page.headers.get('content-type'), /^text\/html/)
  t.match(page.headers.get('content-security-policy'), /default-src 'none'/)
  t.equal(page.headers.get('cache-control'), 'no-store')
  t.notMatch(page.text, /<script/)
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const confirmed = await server.call('POST', '/auth/verify-email', { body: `token=${token}`, headers: form })
  t.equal(confirmed.status, 200)
  t.match(confirmed.text, /confirmed/)
  t.equal((await server.post('/auth/login', { email, password: server.password })).status, 200)
  t.equal(
    (await server.call('POST', '/auth/verify-email', { body: `token=${token}`, headers: form })).status,
    400,
  )
  const hostile = await server.call(
    'GET',
    `/auth/verify-email?token=${encodeURIComponent('"><script>alert(1)</script>')}`,
  )
  t.notMatch(hostile.text, /<script/)
})

t.test('of 20 parallel uses one succeeds', async (t) => {
  const { token } = await registered()
  const answers = await twenty(() => server.post('/auth/verify-email', { token }))
  t.equal(answers.filter((answer) => answer.status === 200).length, 1)
  for (const answer of answers.filter((candidate) => candidate.status !== 200))
    t.match(answer.body, { status: 400, code: 'token_invalid' })
})

t.test(
  'of different links of one registration, used at the same time, one succeeds, without a deadlock',
  async (t) => {
    const { email } = await registered()
    for (let asked = 0; asked < 5; asked += 1) await server.post('/auth/resend-verification', { email })
    const links = (await server.mailsTo(email)).map((mail) => /token=([\w-]+)/.exec(mail.text)?.[1] as string)
    const answers = await Promise.all(links.map((token) => server.post('/auth/verify-email', { token })))
    t.equal(answers.filter((answer) => answer.status === 200).length, 1)
    t.equal(answers.filter((answer) => answer.body.code === 'token_invalid').length, 5)
  },
)

t.test('a wrong, a used and an expired link get the same answer', async (t) => {
  const { email, token } = await registered()
  t.match((await server.post('/auth/verify-email', { token: 'wrong' })).body, { code: 'token_invalid' })
  clock.advance(24 * 3_600_000 + 1)
  t.match((await server.post('/auth/verify-email', { token })).body, { code: 'token_invalid' })
  t.equal((await server.post('/auth/resend-verification', { email })).status, 202)
  const again = await server.lastToken(email)
  t.not(again, token)
  t.strictSame((await server.post('/auth/verify-email', { token: again })).body, { status: 'verified' })
})

t.test(
  'a new link can be requested with the same answer for any address; only an unverified one gets mail',
  async (t) => {
    const known = await server.createAccount()
    const before = (await server.mailsTo(known.email)).length
    for (const email of [known.email, 'nobody@example.com', server.freshEmail()]) {
      const answer = await server.post('/auth/resend-verification', { email })
      t.equal(answer.status, 202)
      t.strictSame(answer.body, { status: 'verification_sent' })
    }
    t.equal((await server.mailsTo(known.email)).length, before)
  },
)
