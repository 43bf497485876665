import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import t from 'tap'
import { callsOf } from '../../support/costs.ts'
import { startRangeServer } from '../../support/range-server.ts'
import { startServer } from '../../support/server.ts'

const range = await startRangeServer(t)
const server = await startServer(t, { env: { BREACHED_PASSWORDS_URL: range.url } })

const register = (password: string, email: string) => server.post('/auth/register', { email, password })
const weak = (...reasons: string[]) => ({ status: 400, body: { code: 'password_too_weak', reasons } })

async function signedIn() {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const change = (new_password: string) =>
    server.post('/auth/change-password', { current_password: account.password, new_password }, { bearer })
  return { ...account, change }
}

async function resetLink(email: string) {
  await server.post('/auth/request-password-reset', { email })
  const token = await server.lastToken(email)
  return { token, reset: (password: string) => server.post('/auth/reset-password', { token, password }) }
}

t.test(
  'easily guessed passwords are refused, with advice, whether or not the range API answers',
  async (t) => {
    t.teardown(() => {
      range.behaviour = range.well
    })
    for (const behaviour of [range.well, () => {}]) {
      range.behaviour = behaviour
      const email = server.freshEmail()
      const [local] = email.split('@') as [string]
      const before = range.asked.length
      for (const [password, reason, advice] of [
        ['aaaaaaaaaaaa', 'easily_guessed', /repeats itself.*unrelated words/],
        ['111111111111', 'easily_guessed', /repeats itself/],
        ['Password1234!', 'easily_guessed', /common word/],
        [`${email}1`, 'based_on_email', /your e-mail address/],
        [`${local}!!!!`, 'based_on_email', /your e-mail address/],
        ['Example.com1', 'based_on_email', /your e-mail address/],
        ['localhost1234', 'based_on_app_name', /name of this service/],
      ] as const) {
        const answer = await register(password, email)
        t.match(answer, weak(reason), password)
        t.match(answer.body.detail, advice)
        t.notOk(answer.text.includes(password))
      }
      t.equal(range.asked.length, before, 'nothing of them leaves this server')
      const { change, email: owned, password: old } = await signedIn()
      t.match(await change('aaaaaaaaaaaa'), weak('easily_guessed'))
      const { reset, token } = await resetLink(owned)
      t.match(await reset('Password1234!'), weak('easily_guessed'))
      const page = await server.call('POST', '/auth/reset-password', {
        body: new URLSearchParams({ token, password: 'Localhost2026' }).toString(),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      })
      t.match(page.text, /around the name of this service/, 'the page says why')
      t.equal((await server.post('/auth/login', { email: owned, password: old })).status, 200)
      t.equal((await reset('purple otters juggle quietly')).status, 204, 'the link was not used up')
    }
  },
)

t.test('a sign-in does not judge the password', async (t) => {
  const account = await server.createAccount()
  const judged = callsOf(t, ZxcvbnFactory.prototype, 'check')
  t.equal((await server.post('/auth/login', account)).status, 200)
  t.equal((await server.post('/auth/login', { ...account, password: 'aaaaaaaaaaaa' })).status, 401)
  t.equal(judged.length, 0)
})
