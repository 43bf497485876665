import { randomBytes } from 'node:crypto'
import t from 'tap'
import { statementsOf } from '../../support/costs.ts'
import { post, registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'

const MOST = 5
const server = await startServer(t, {
  env: {
    RATE_LIMITS: 'true',
    RATE_LIMIT_BUDGETS: `client_refused=${MOST}/60,public=${MOST}/60`,
    TRUST_PROXY: '1',
    CLIENT_METADATA_DOCUMENTS: 'true',
    DYNAMIC_REGISTRATION: 'true',
  },
})
const registry = registrations(server)
const api = await registry.resource('read')
let addresses = 0
const nextAddress = () => ({ 'x-forwarded-for': `198.51.100.${++addresses}` })
const CREDENTIALS = { grant_type: 'client_credentials' }
const random = () => `client_${randomBytes(16).toString('base64url')}`
const MADE_UP: Record<string, () => string> = {
  registered: random,
  'with a document': () => `https://${randomBytes(6).toString('hex')}.example/client.json`,
  'sealed by nobody': () => `dynamic_${randomBytes(60).toString('base64url')}`,
}
const lookUps = (statements: string[]) =>
  statements.filter((text) => /clients"?\s|blocked_clients|"?resources"? |grants/i.test(text)).length

t.test('a flood of made-up clients asks Postgres a bounded number of times', async (t) => {
  for (const path of ['token', 'introspect', 'revoke', 'device_authorization'])
    for (const [kind, id] of Object.entries(MADE_UP)) {
      const address = nextAddress()
      const statements = statementsOf(t)
      const answers = []
      for (let round = 0; round < 4; round++)
        answers.push(
          ...(await Promise.all(
            Array.from({ length: 15 }, () =>
              post(
                server,
                `/oauth/${path}`,
                { ...CREDENTIALS, token: 'x', client_id: id() },
                undefined,
                address,
              ),
            ),
          )),
        )
      const refused = answers.filter(({ status }) => status === 429)
      t.equal(refused.length, 60 - MOST, `${path}: ${kind}`)
      t.match(refused[0]?.body, { error: 'temporarily_unavailable' })
      const others = answers.filter(({ status }) => status !== 429)
      for (const { status, body } of others)
        t.match({ status, body }, { status: 401, body: { error: 'invalid_client' } })
      const asked = lookUps(statements())
      t.ok(asked <= 4 * MOST, `${path}: ${kind}: ${asked} look-ups`)
    }
})

t.test('so does one at what a browser opens', async (t) => {
  for (const path of ['authorize', 'end-session'])
    for (const [kind, id] of Object.entries(MADE_UP)) {
      const address = nextAddress()
      const statements = statementsOf(t)
      const open = () =>
        server.call('GET', `/oauth/${path}?${new URLSearchParams({ client_id: id() })}`, { headers: address })
      for (let round = 0; round < 30; round++) await open()
      const asked = lookUps(statements())
      t.ok(asked <= 4 * MOST, `${path}: ${kind}: ${asked} look-ups`)
    }
})

t.test(
  'a client that the node knows works beside such a flood, and one that it does not know later',
  async (t) => {
    const [known, unknown] = [
      await registry.client({ [api]: 'read' }),
      await registry.client({ [api]: 'read' }),
    ]
    const address = nextAddress()
    const token = (who: typeof known, headers = address) =>
      post(server, '/oauth/token', CREDENTIALS, who, headers)
    for (let round = 0; round < 2 * MOST; round++) t.equal((await token(known)).status, 200, 'costs no point')
    for (let round = 0; round < MOST; round++) await token({ id: random(), secret: 'x' })
    t.equal((await token(known)).status, 200)
    t.match(await token({ ...known, secret: 'wrong' }), { status: 429 }, 'guessing a secret is over too')
    t.match(await token(unknown), { status: 429 })
    t.equal((await token(unknown, nextAddress())).status, 200, 'from any other address')
    t.equal((await token(unknown)).status, 200, 'then the node knows it')
  },
)

t.test('clients that are right do not use the budget of their address up', async (t) => {
  const address = nextAddress()
  for (let round = 0; round < 2 * MOST; round++) {
    const fresh = await registry.client({ [api]: 'read' })
    t.equal((await post(server, '/oauth/token', CREDENTIALS, fresh, address)).status, 200)
    const wrong = { grant_type: 'authorization_code', code: 'x' }
    const another = await registry.client({ [api]: 'read' })
    t.match(await post(server, '/oauth/token', wrong, another, address), { body: { error: 'invalid_grant' } })
  }
})
