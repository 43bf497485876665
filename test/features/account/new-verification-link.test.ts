import t from 'tap'
import { startServer } from '../../support/server.ts'

const server = await startServer(t)
const PATH = '/auth/new-verification-link'
const FORM = { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/html' }
const PAGE = { accept: 'text/html' }

const ask = (email: string, { on = server, query = '', headers = {} } = {}) =>
  on.call('POST', PATH + query, {
    body: `${new URLSearchParams({ email })}`,
    headers: { ...FORM, ...headers },
  })
const mailsTo = (recipient: string, on = server) => on.db.outboxMessage.count({ where: { recipient } })

async function registered() {
  const email = server.freshEmail()
  const { body } = await server.post('/auth/register', {
    email,
    password: server.password,
    transport: 'body',
  })
  return { email, proof: body.registration_token as string }
}

t.test('a dead link offers a new one, and to sign in', async (t) => {
  const account = await server.createAccount()
  const { email } = await registered()
  const token = await server.lastToken(email)
  await server.db.registration.deleteMany({ where: { email } })
  for (const link of [token, 'x', `${token}x`, '']) {
    const opened = await server.call('GET', `/auth/verify-email?token=${link}`, { headers: PAGE })
    const pressed = await server.call('POST', '/auth/verify-email', {
      body: `${new URLSearchParams({ token: link })}`,
      headers: FORM,
    })
    for (const { status, text } of [opened, pressed]) {
      t.equal(status, 400, link)
      t.match(text, `<a class="button" href="${PATH}">Ask for a new link</a>`)
      t.match(text, /<a class="button" href="(?!\/auth)[^"]*">(?:Sign in|To the start page)<\/a>/)
      t.notMatch(text, /<script/)
    }
  }
  const german = await server.call('GET', '/auth/verify-email?token=x&locale=de', { headers: PAGE })
  t.match(german.text, `href="${PATH}?locale=de">Neuen Link anfordern</a>`)
  t.ok(account)
})

t.test('the form needs no script, and sends a link that works', async (t) => {
  const { email, proof } = await registered()
  const page = await server.call('GET', `${PATH}?utm_source=mail`, { headers: PAGE })
  t.equal(page.status, 200)
  t.match(page.text, `<form method="post" action="${PATH}">`)
  t.notMatch(page.text, /<script/)
  t.match((await server.call('GET', `${PATH}?locale=de`, { headers: PAGE })).text, 'E-Mail-Adresse')
  const before = await mailsTo(email)
  const answer = await ask(`  ${email.toUpperCase()} `, { query: '?locale=de' })
  t.equal(answer.status, 200)
  t.match(answer.text, `Wenn eine Registrierung mit der Adresse ${email} auf ihre Bestätigung wartet`)
  t.equal(await mailsTo(email), before + 1)
  const link = { token: await server.lastToken(email), registration_token: proof }
  t.strictSame((await server.post('/auth/verify-email', link)).body, { status: 'verified' })
})

t.test('the answer is the same for every address', async (t) => {
  const waiting = await registered()
  const { email: known } = await server.createAccount()
  const unknown = server.freshEmail()
  const answers = []
  for (const email of [waiting.email, known, unknown]) {
    const before = await mailsTo(email)
    const { status, text, headers } = await ask(email)
    answers.push([status, text.replaceAll(email, 'ADDRESS'), headers.getSetCookie()])
    t.equal(await mailsTo(email), before + (email === waiting.email ? 1 : 0), email)
  }
  t.strictSame(answers[1], answers[0])
  t.strictSame(answers[2], answers[0])
})

t.test('what is no address is asked for again', async (t) => {
  for (const email of [
    '',
    'x',
    'a@b@c',
    '"><script>alert(1)</script>',
    'a\r\nb@example.com',
    `${'x'.repeat(300)}@a.example`,
  ]) {
    const { status, text } = await ask(email)
    t.equal(status, 400, email.slice(0, 20))
    t.match(text, 'This is not an e-mail address.')
    t.notMatch(text, /<script/)
  }
  const twice = await server.call('POST', PATH, {
    body: 'email=a%40b.example&email=c%40d.example',
    headers: FORM,
  })
  t.equal(twice.status, 400)
})

t.test('it shares the limits of the other way to ask', async (t) => {
  const env = { RATE_LIMITS: 'true', RATE_LIMIT_BUDGETS: 'resend_verification=2/60' }
  const limited = await startServer(t, { env })
  t.equal((await limited.post('/auth/resend-verification', { email: 'a@example.com' })).status, 202)
  t.equal((await ask('b@example.com', { on: limited })).status, 200)
  const third = await ask('c@example.com', { on: limited })
  t.equal(third.status, 429)
  t.match(third.headers.get('content-type'), /^text\/html/)
  t.ok(third.headers.get('retry-after'))
  t.equal((await limited.post('/auth/resend-verification', { email: 'd@example.com' })).status, 429)
})
