import fastifyCookie from '@fastify/cookie'
import fastify from 'fastify'
import t from 'tap'
import { type CookieSettings, sessionCookies } from '../../src/http/session-cookies.ts'

const HTTPS = 'https://auth.example.com'
const LAX: CookieSettings = { sameSite: 'lax', suffix: undefined }

/** What a server with these settings reads, and how it sets and expires its cookie. */
async function cookieOf(publicUrl: string, settings: CookieSettings) {
  const app = fastify()
  await app.register(fastifyCookie, { hook: false })
  const { refresh } = sessionCookies(publicUrl, settings)
  app.get('/read', async (request) => refresh.valuesIn(request))
  app.get('/set', async (_request, reply) => refresh.set(reply, 'new', 60_000, 0))
  app.get('/expire', async (_request, reply) => refresh.expire(reply))
  const ask = (url: string, headers: Record<string, string> = {}) => app.inject({ url, headers })
  return {
    name: refresh.name,
    read: async (cookie: string) => (await ask('/read', { cookie })).json() as string[],
    set: async (headers?: Record<string, string>) =>
      [(await ask('/set', headers)).headers['set-cookie'] ?? []].flat(),
    expire: async () => [(await ask('/expire')).headers['set-cookie'] ?? []].flat(),
  }
}

t.test('over https every cookie has the __Host- prefix, whatever the suffix', (t) => {
  for (const suffix of [undefined, 'shop', 'device', '-dev', '_']) {
    const { refresh, device, registration, continuation } = sessionCookies(HTTPS, { ...LAX, suffix })
    const end = suffix ? `.${suffix}` : ''
    t.equal(refresh.name, `__Host-ratchet${end}`)
    t.equal(device.name, `__Host-ratchet-device${end}`)
    t.equal(registration.name, `__Host-ratchet-registration${end}`)
    t.equal(continuation.name, `__Host-ratchet-continue${end}`)
  }
  const plain = sessionCookies('http://localhost:8080', { ...LAX, suffix: 'shop' })
  t.equal(plain.refresh.name, 'ratchet-dev.shop')
  t.equal(plain.device.name, 'ratchet-device-dev.shop')
  t.end()
})

t.test('the name depends on neither port nor path nor SameSite', (t) => {
  const names = [
    sessionCookies('http://localhost:8080', LAX),
    sessionCookies('http://localhost:9090', { ...LAX, sameSite: 'strict' }),
  ].map(({ refresh }) => refresh.name)
  t.equal(new Set(names).size, 1)
  const secure = (['lax', 'strict', 'none'] as const).map(
    (sameSite) => sessionCookies(HTTPS, { ...LAX, sameSite }).refresh.name,
  )
  t.equal(new Set(secure).size, 1)
  t.end()
})

t.test('every value of the name is read, and nothing else', async (t) => {
  const { name, read } = await cookieOf(HTTPS, LAX)
  for (const [header, values] of [
    [`${name}=a; ${name}=b`, ['a', 'b']],
    [`${name}=a;${name}=b;  ${name}=a`, ['a', 'b', 'a']],
    [`x=1; ${name}=a; y=${name}=b; ${name}=`, ['a', '']],
    [`x${name}=a; ${name}x=b; ${name}.x=c; ${name.toLowerCase()}=d; ${name}`, []],
    [`${name}=a=b; ${name}=%41; ${name}=%`, ['a=b', 'A', '%']],
    [`; ;${name}=a;`, ['a']],
    [
      `\u00a0${name}=a; \u0085${name}=b; \u2000${name}=c; \ufeff${name}=d; \u000b${name}=e;\t${name}=f`,
      ['f'],
    ],
  ] as const) {
    t.strictSame(await read(header), values, header)
  }
})

const PLAIN = '; Path=/; HttpOnly; Secure; SameSite='
const PARTITIONED = '; Path=/; HttpOnly; Secure; Partitioned; SameSite=None'

t.test('several values are replaced by one: every variant expires first', async (t) => {
  for (const [sameSite, own, variant] of [
    ['lax', 'Lax', `${PLAIN}Lax`],
    ['strict', 'Strict', `${PLAIN}Strict`],
    ['none', 'None', PARTITIONED],
  ] as const) {
    const { name, set, expire } = await cookieOf(HTTPS, { ...LAX, sameSite })
    const expired = [`${name}=; Max-Age=0${PLAIN}${own}`, `${name}=; Max-Age=0${PARTITIONED}`]
    const fresh = `${name}=new; Max-Age=60${variant}`
    t.strictSame(await set(), [fresh])
    t.strictSame(await set({ cookie: `${name}=a` }), [fresh])
    t.strictSame(await set({ cookie: `${name}=a; ${name}=b` }), [...expired, fresh])
    t.strictSame(await expire(), expired)
  }
  const { set, expire } = await cookieOf('http://localhost:8080', LAX)
  const attributes = '; Path=/; HttpOnly; SameSite=Lax'
  t.strictSame(await set({ cookie: 'ratchet-dev=a; ratchet-dev=b' }), [
    `ratchet-dev=; Max-Age=0${attributes}`,
    `ratchet-dev=new; Max-Age=60${attributes}`,
  ])
  t.strictSame(await expire(), [`ratchet-dev=; Max-Age=0${attributes}`])
})

t.test('a cookie that another site sent stays one that other sites send', async (t) => {
  const { name, set } = await cookieOf(HTTPS, LAX)
  const cookie = `${name}=a`
  const from = (site: string) => ({ cookie, 'sec-fetch-site': site })
  t.strictSame(await set(from('cross-site')), [`${name}=new; Max-Age=60${PARTITIONED}`])
  for (const site of ['same-site', 'same-origin', 'none']) {
    t.strictSame(await set(from(site)), [`${name}=new; Max-Age=60${PLAIN}Lax`], site)
  }
  t.strictSame(
    await set({ 'sec-fetch-site': 'cross-site' }),
    [`${name}=new; Max-Age=60${PLAIN}Lax`],
    'without one the configuration says which',
  )
})

t.test('a link of another site weakens no cookie, a frame keeps its own', async (t) => {
  const { name, set } = await cookieOf(HTTPS, LAX)
  const opened = { cookie: `${name}=a`, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
  const lax = [`${name}=new; Max-Age=60${PLAIN}Lax`]
  t.strictSame(await set({ ...opened, 'sec-fetch-dest': 'document' }), lax)
  for (const frame of ['iframe', 'frame'])
    t.strictSame(await set({ ...opened, 'sec-fetch-dest': frame }), [`${name}=new; Max-Age=60${PARTITIONED}`])
})
