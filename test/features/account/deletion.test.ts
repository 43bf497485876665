import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { startServer } from '../../support/server.ts'

const server = await startServer(t, { env: { TRUST_PROXY: '1' } })

const headers = { 'x-forwarded-for': '203.0.113.77', 'user-agent': 'the-only-such-program/1' }

/** Tables that have a row with one of these texts, or with the SHA-256 of one. */
async function tablesWith(texts: readonly string[]): Promise<string[]> {
  const tables = await server.db.$queryRaw<{ name: string }[]>`
    SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema()`
  const wanted = texts.flatMap((text) => [text, createHash('sha256').update(text).digest('hex')])
  const patterns = wanted.map((text) => `%${text}%`)
  const found = await Promise.all(
    tables.map(async ({ name }) => {
      const sql = `SELECT count(*)::int AS count FROM "${name}" AS r WHERE r::text ILIKE ANY ($1)`
      const [row] = await server.db.$queryRawUnsafe<{ count: number }[]>(sql, patterns)
      return row && row.count > 0 ? [name] : []
    }),
  )
  return found.flat().sort()
}

/** The tables that docs/accounts.md names. */
async function documented(): Promise<string[]> {
  const text = await readFile(new URL('../../../docs/accounts.md', import.meta.url), 'utf8')
  const [, section = ''] = text.split('## What a deletion leaves')
  const [table = ''] = section.split('\n## ')
  return [...new Set([...table.matchAll(/`([a-z_]+)`/g)].map(([, name]) => name as string))].sort()
}

t.test('a deletion leaves nothing that names the person but what docs/accounts.md lists', async (t) => {
  const email = server.freshEmail()
  const name = 'Wilhelmina Unmistakable'
  const password = 'a perfectly long passphrase'
  await server.post('/auth/register', { email, password, name }, { headers })
  await server.post('/auth/verify-email', { token: await server.lastToken(email), password }, { headers })
  await server.post('/auth/register', { email, password, name }, { headers })
  const login = { email, password, transport: 'body' }
  const sessions = []
  for (let turn = 0; turn < 3; turn += 1)
    sessions.push((await server.post('/auth/login', login, { headers })).body)
  await server.post('/auth/login', { ...login, password: 'not the password' }, { headers })
  await server.post('/auth/request-password-reset', { email }, { headers })
  const { access_token: bearer } = sessions[0]
  const { body: me } = await server.call('GET', '/me', { bearer })
  const change = { password, new_email: server.freshEmail() }
  await server.call('POST', '/auth/change-email', { bearer, body: change, headers })
  await server.call('POST', '/auth/mfa/totp', { bearer, body: { password }, headers })
  await server.post('/auth/refresh', { refresh_token: sessions[1].refresh_token }, { headers })
  t.equal((await server.call('DELETE', '/me', { bearer, body: { password }, headers })).status, 204)
  await server.mailsTo(email)

  const persons = [email, change.new_email, me.id, name, headers['x-forwarded-for'], headers['user-agent']]
  const left = await tablesWith(persons)
  const allowed = await documented()
  t.ok(allowed.includes('audit_events'))
  for (const table of left) t.ok(allowed.includes(table), table)
  t.notOk(left.includes('sessions'), 'session rows are nameless')
  const here = ['203.0.113.77', 'the-only-such-program/1']
  t.notOk((await tablesWith(persons.filter((text) => !here.includes(text)))).includes('guess_counters'))
  const stored = await Promise.all(
    (await server.redis.keys('*')).map(async (key) =>
      (await server.redis.type(key)) === 'hash'
        ? [key, await server.redis.hgetall(key)]
        : [key, await server.redis.dump(key)],
    ),
  )
  for (const text of [email, change.new_email, name, ...here]) t.notOk(JSON.stringify(stored).includes(text))
})
