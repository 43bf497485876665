import t from 'tap'
import { startServer } from '../../support/server.ts'

const server = await startServer(t)
const GERMAN = { 'accept-language': 'de-AT,de;q=0.9,en;q=0.5' }
const change = (bearer: string, body: unknown) => server.call('PATCH', '/me', { bearer, body })
const lastMailTo = async (email: string) => (await server.mailsTo(email)).at(-1)

/** Somebody who registered in a German browser. */
async function setUp() {
  const [email, password] = [server.freshEmail(), server.password]
  await server.call('POST', '/auth/register', { body: { email, password, name: 'Ada' }, headers: GERMAN })
  const registration = await lastMailTo(email)
  await server.post('/auth/verify-email', { token: await server.lastToken(email), password })
  const { access_token: bearer } = await server.login({ email, password })
  /** The subject of a mail that a request with these headers causes. */
  async function subjectOf(headers: Record<string, string> = {}) {
    const body = { current_password: password, new_password: password }
    const answer = await server.call('POST', '/auth/change-password', { bearer, body, headers })
    t.equal(answer.status, 204)
    return (await lastMailTo(email))?.subject
  }
  return { email, bearer, registration, subjectOf }
}

t.test('an account keeps the language of its registration until it chooses another', async (t) => {
  const { bearer, registration, subjectOf } = await setUp()
  t.match(registration?.html, '<html lang="de" dir="ltr">')
  t.equal((await server.call('GET', '/me', { bearer })).body.locale, 'de-AT')
  t.match(await subjectOf({ 'accept-language': 'en' }), /Passwort/)
  t.match((await change(bearer, { locale: 'en' })).body, { locale: 'en', name: 'Ada' })
  t.match(await subjectOf(GERMAN), /password/)
  t.match((await change(bearer, { name: 'Grace' })).body, { locale: 'en', name: 'Grace' })
})

t.test(
  'without a language of the account, and with one that has no texts, the request decides',
  async (t) => {
    const { bearer, subjectOf } = await setUp()
    for (const locale of [null, 'tlh']) {
      t.equal((await change(bearer, { locale })).body.locale, locale)
      t.match(await subjectOf(GERMAN), /Passwort/)
      t.match(await subjectOf({ 'accept-language': 'tlh' }), /password/, 'the default')
      t.match(await subjectOf(), /password/)
    }
  },
)

t.test('a language is stored in its canonical form, and anything else is refused', async (t) => {
  const { bearer, subjectOf } = await setUp()
  for (const [sent, stored] of [
    ['DE-at', 'de-AT'],
    ['zh-hant-tw', 'zh-Hant-TW'],
    ['iw', 'he'],
    ['de-u-co-phonebk', 'de-u-co-phonebk'],
  ]) {
    t.equal((await change(bearer, { locale: sent })).body.locale, stored)
    t.equal((await server.call('GET', '/me', { bearer })).body.locale, stored)
  }
  t.match(await subjectOf(), /Passwort/)
  for (const locale of ['', 'x', 'de_DE', 'de-', 'de--AT', ' de', '../de', 'd\u0435', 'de-'.repeat(20)]) {
    t.match(await change(bearer, { locale }), {
      status: 400,
      body: { code: 'validation_failed', errors: [{ pointer: '/locale' }] },
    })
  }
  for (const body of [{}, { locale: 1 }, { locale: ['de'] }, { name: 'Ada', locale: 'x' }]) {
    t.equal((await change(bearer, body)).status, 400)
  }
  t.match((await server.call('GET', '/me', { bearer })).body, { locale: 'de-u-co-phonebk', name: 'Ada' })
})
