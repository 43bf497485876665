import t from 'tap'
import { createAdministrator, createPerson, plantUsers } from '../../support/administrator.ts'
import { createAuthenticator } from '../../support/authenticator.ts'
import { startServer } from '../../support/server.ts'
import { jsonLines, usersCommand } from '../../support/users-command.ts'

const server = await startServer(t)
const users = usersCommand(server.databaseUrl)
const ada = await createPerson(server)
const { bearer } = ada
const rename = (name: unknown) => server.call('PATCH', '/me', { bearer, body: { name } })
/** How a new person can add their first passkey, under any name. */
async function newPasskey() {
  const { account, bearer: owner } = await createPerson(server)
  const offered = await server.post(
    '/auth/passkeys/options',
    { password: account.password },
    { bearer: owner },
  )
  const { challenge_token, options } = offered.body
  const credential = createAuthenticator().create(options)
  return (name: unknown) =>
    server.post('/auth/passkeys', { challenge_token, credential, name }, { bearer: owner })
}

const REFUSED = [
  '',
  '   ',
  '\u200b\u2060',
  '\u3164',
  '\u2800\u2800',
  '\u0301',
  'Ada\n',
  'A\tda',
  'A\u0085da',
  'Ada\u2028',
  'Ada \u202egnp.exe',
  '\u2066Ada\u2069',
  'Ada\u200f',
  'Ada\ue000',
  'Ada\ufdd0',
  'Ada \ud800',
  `A${'\u0300'.repeat(20)}`,
  'x'.repeat(101),
]
const KEPT = [
  ['  Zoe\u0308 ', 'Zo\u00eb'],
  ['\ufeff山田　太郎', '山田　太郎'],
  ['علی‌رضا', 'علی‌رضا'],
  ['👩‍👩‍👧‍👦', '👩‍👩‍👧‍👦'],
  ['ශ්‍රී', 'ශ්‍රී'],
] as const

t.test('a person, a registration and a passkey can have the same names', async (t) => {
  const refusal = { status: 400, body: { code: 'validation_failed', errors: [{ pointer: '/name' }] } }
  const addPasskey = await newPasskey()
  const mails = await server.db.outboxMessage.count()
  for (const name of REFUSED) {
    for (const answer of [
      await rename(name),
      await server.post('/auth/register', { email: server.freshEmail(), password: server.password, name }),
      await addPasskey(name),
    ]) {
      t.match(answer, refusal, escape(name))
      t.equal(answer.body.errors.length, 1)
    }
  }
  t.equal(await server.db.outboxMessage.count(), mails, 'no mail was sent')
  for (const [typed, name] of KEPT) {
    t.match(await rename(typed), { status: 200, body: { name } })
    t.match(await (await newPasskey())(typed), { status: 201, body: { passkey: { name } } })
    const account = await server.createAccount(server.freshEmail(), typed)
    t.match((await server.post('/auth/login', account)).body.user, { name })
  }
})

t.test('null removes the name; nothing else that is no text is accepted', async (t) => {
  t.match(await rename('Grace'), { status: 200, body: { name: 'Grace' } })
  t.match(await rename(null), { status: 200, body: { name: null } })
  t.equal((await server.call('GET', '/me', { bearer })).body.name, null)
  t.equal((await server.db.user.findUniqueOrThrow({ where: { id: ada.id } })).name, null)
  t.match(await rename('Grace'), { status: 200, body: { name: 'Grace' } })
  for (const name of [0, false, [], ['Ada'], {}, { set: null }]) {
    const { body } = await rename(name)
    t.match(body, { status: 400, errors: [{ pointer: '/name' }] }, JSON.stringify(name))
    t.equal(body.errors.length, 1)
  }
  t.equal((await server.call('GET', '/me', { bearer })).body.name, 'Grace')
})

t.test('administrators find a name however they type it', async (t) => {
  const { bearer: admin } = await createAdministrator(server)
  await rename('Gra\u0308ce علی‌رضا Ślęzak')
  await plantUsers(server, [{ email: 'old@names.example', name: 'Pe\u0301ne\u0301lope' }])
  const overHttp = async (query: string) =>
    (await server.call('GET', `/admin/users?query=${encodeURIComponent(query)}`, { bearer: admin })).body
      .users
  for (const query of [
    'gr\u00e4ce',
    'Gra\u0308ce',
    'GRA\u0308CE',
    ' \ufeffgr\u00e4ce\u200b',
    'ś\u200blęz',
    'علی‌رضا ś',
    'zak\u3000',
  ]) {
    const found = await overHttp(query)
    t.strictSame(
      found.map(({ id }: { id: string }) => id),
      [ada.id],
      JSON.stringify(query),
    )
    t.strictSame(jsonLines(await users('list', query, '--json')), found, 'the command line too')
  }
  for (const query of ['p\u00e9n\u00e9lope', 'Pe\u0301ne\u0301lope']) {
    t.match(
      await overHttp(query),
      [{ email: 'old@names.example' }],
      'a name from before names were normalized',
    )
  }
  t.match(await users('list', 'gr\u00e4ce'), 'علی‌رضا', 'joiners are printed')
})
