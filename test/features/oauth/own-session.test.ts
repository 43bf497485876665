import t from 'tap'
import { createApp, pkce } from '../../support/authorization.ts'
import { deferred } from '../../support/deferred.ts'
import { openPage } from '../../support/interaction.ts'
import { registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'
import { createVisitor, parametersOf } from '../../support/visitor.ts'

const server = await startServer(t)
const registry = registrations(server)
const api = await registry.resource('read')
const account = await server.createAccount()
const client = () => createApp(server, registry, { [api]: 'read' })
// Longer than the grace window: without an attempt, what has been replaced is a reuse.
const LATER = 15_000

const cookieOf = ({ cookies }: ReturnType<typeof createVisitor>) =>
  [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')

/** Whether the browser is still signed in. */
async function isSignedIn(visitor: ReturnType<typeof createVisitor>): Promise<boolean> {
  const cookie = cookieOf(visitor)
  const { text } = await server.call('GET', '/auth/session', {
    headers: { cookie, 'sec-fetch-site': 'same-origin' },
  })
  return text !== 'null'
}

/** What a browser does whose answer is lost: it does not see its cookies. */
async function lose(visitor: ReturnType<typeof createVisitor>, act: () => Promise<unknown>): Promise<void> {
  const before = [...visitor.cookies]
  await act()
  if (String([...visitor.cookies]) === String(before)) throw new Error('the session was not rotated')
  for (const [name, value] of before) visitor.cookies.set(name, value)
  await server.age(LATER)
}

t.test('a page that is loaded again, because its answer was lost, signs nobody out', async (t) => {
  const app = await client()
  const visitor = createVisitor(server)
  const { verifier, challenge } = pkce()
  const url = app.url(challenge, { scope: 'read' })
  const asked = await visitor.signIn(await visitor.open(url), account)
  await lose(visitor, () => visitor.decide(asked, 'allow'))
  await lose(visitor, () => visitor.decide(asked, 'allow'))
  await lose(visitor, () => visitor.open(url))
  const { code } = parametersOf(await visitor.open(url))
  t.equal((await app.redeem({ code: code as string, verifier })).status, 200)
  t.ok(await isSignedIn(visitor))
})

t.test(
  'a copy of the cookie is found out with another request, and with the same from elsewhere',
  async (t) => {
    const app = await client()
    const any = () => app.url(pkce().challenge, { scope: 'read' })
    const request = any()
    for (const [first, second, userAgent] of [
      [any(), any(), 'a browser'],
      [request, request, 'another browser'],
    ] as const) {
      const visitor = createVisitor(server)
      await app.code(account, { scope: 'read' }, visitor)
      const cookie = cookieOf(visitor)
      const thief = { cookie, 'user-agent': 'a browser' }
      t.ok(parametersOf(await openPage(server, first, thief)).code)
      await server.age(LATER)
      const owner = await openPage(server, second, { cookie, 'user-agent': userAgent })
      t.match(owner.headers.get('location'), '/auth/sign-in')
      t.notOk(await isSignedIn(visitor))
    }
  },
)

t.test('a browser gets its new token although the grant cannot be written', async (t) => {
  const app = await client()
  const visitor = createVisitor(server)
  const asked = await visitor.signIn(
    await visitor.open(app.url(pkce().challenge, { scope: 'read' })),
    account,
  )
  const before = new Map(visitor.cookies)
  const [locked, written] = [deferred(), deferred()]
  const holding = server.db.$transaction(
    async (tx) => {
      await tx.$executeRaw`LOCK TABLE grants IN SHARE MODE`
      locked.resolve()
      await written.promise
    },
    { timeout: 60_000 },
  )
  await locked.promise
  const failed = await visitor.decide(asked, 'allow')
  written.resolve()
  await holding
  t.equal(failed.status, 503)
  t.notSame(new Map(visitor.cookies), before)
  await server.age(LATER)
  t.ok(await isSignedIn(visitor))
  t.ok(parametersOf(await visitor.decide(asked, 'allow')).code)
})
