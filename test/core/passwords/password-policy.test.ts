import t from 'tap'
import { createPasswordPolicy } from '../../../src/core/passwords/password-policy.ts'
import { Problem } from '../../../src/core/problems/problems.ts'
import { callsOf } from '../../support/costs.ts'
import { startRangeServer } from '../../support/range-server.ts'
import { movableClock } from '../../support/server.ts'

const log = { info() {}, warn() {} }
const range = await startRangeServer(t)
const policy = createPasswordPolicy({
  minLength: 12,
  appName: 'Ratchet',
  breachedPasswordsUrl: range.url,
  clock: movableClock(),
  log,
})

async function reasons(password: string, account: { email?: string; hasSecondFactor?: boolean } = {}) {
  const problem = await policy.check(password, { email: 'ada@example.com', ...account }).then(
    () => undefined,
    (error) => error,
  )
  if (problem === undefined) return []
  t.ok(problem instanceof Problem)
  t.equal(problem.code, 'password_too_weak')
  const { detail = '', reasons = [] } = problem.members
  t.equal(
    /^Use \d+ to 128 characters\./.test(detail),
    /too_/.test(`${reasons}`),
    'only the rule that applies',
  )
  t.equal(/guessed/.test(detail), /common|breached|guessed/.test(`${reasons}`))
  if (password.length > 8)
    t.notOk(JSON.stringify(problem.members).includes(password), 'the refusal does not contain the password')
  return reasons
}

t.test('the length is counted in characters, after NFC', async (t) => {
  t.strictSame(await reasons('eleven char'), ['too_short'])
  t.strictSame(await reasons('twelve chars'), [])
  t.strictSame(await reasons('🔑'.repeat(11)), ['too_short'])
  t.strictSame(await reasons('🔑🗝🚪🏠🌳🦉🌙⭐🔭📖🕯🐈'), [])
  t.strictSame(await reasons('e\u0301'.repeat(11)), ['too_short'], '22 code points, 11 characters')
  const long = 'the quiet river bends around an old mill where nobody grinds corn, '
  const longest = long.repeat(2).slice(0, 128)
  t.strictSame(await reasons(longest.replaceAll('e', 'e\u0301')), [], 'more code points, 128 characters')
  t.strictSame(await reasons(longest), [])
  t.strictSame(await reasons(`${longest}x`), ['too_long'])
  // The longest input that NFC turns into 128 characters: each is four code points.
  t.strictSame(await reasons('\u03b1\u0313\u0300\u0345'.repeat(128)), ['easily_guessed'])
  t.strictSame(await reasons('\u03b1\u0313\u0300\u0345'.repeat(129)), ['too_long'])
  t.strictSame(await reasons(''), ['too_short'])
})

t.test('eight characters suffice with a second factor', async (t) => {
  const hasSecondFactor = true
  t.strictSame(await reasons('zx81#qQd', { hasSecondFactor }), [])
  t.strictSame(await reasons('zx81#qQ', { hasSecondFactor }), ['too_short'])
  t.strictSame(await reasons('iloveyou1', { hasSecondFactor }), ['common'])
})

t.test(
  'the most common passwords are refused in any spelling, without a request to the range API',
  async (t) => {
    const before = range.asked.length
    for (const password of ['1q2w3e4r5t6y', 'passwordpassword', 'PasswordPassword', ' passwordpassword  ']) {
      t.strictSame(await reasons(password), ['common'], password)
    }
    t.strictSame(await reasons('password'), ['too_short', 'common'])
    t.equal(range.asked.length, before)
    t.strictSame(await reasons('passwordpassword, and some more of it'), [])
  },
)

t.test('the account’s own address is refused', async (t) => {
  t.strictSame(await reasons('Ada@Example.com '), ['same_as_email'])
  t.strictSame(await reasons('ada@example.com!'), ['based_on_email'])
  t.strictSame(await reasons('de\u0301ja@example.com', { email: 'd\u00e9ja@example.com' }), ['same_as_email'])
  t.strictSame(await reasons('ANN@bücher。example', { email: 'ann@xn--bcher-kva.example' }), [
    'same_as_email',
  ])
})

t.test('breached passwords are refused if they match exactly', async (t) => {
  range.knows('known since that breach')
  t.strictSame(await reasons('known since that breach'), ['breached'])
  t.strictSame(await reasons('Known since that breach'), [])
  t.strictSame(await reasons('known since that breach '), [])
})

t.test('an oversized password is refused before anything is computed', async (t) => {
  const before = range.asked.length
  const normalized = callsOf(t, String.prototype, 'normalize')
  for (const password of [
    'x'.repeat(4096),
    `a${'\u0301'.repeat(4095)}`,
    `a${'\u0345\u0301\u0327\u0334'.repeat(1023)}`,
    '\ufdfa'.repeat(4096),
  ]) {
    t.strictSame(await reasons(password), ['too_long'])
  }
  t.equal(normalized.length, 0)
  t.equal(range.asked.length, before)
})
