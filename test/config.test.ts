import { randomBytes, randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ConfigError, loadConfig } from '../src/config.ts'
import { createTrustHop } from '../src/platform/trusted-proxies.ts'
import { VARIABLES } from '../src/platform/variables.ts'

type Environment = Record<string, string | undefined>

const THIS = fileURLToPath(import.meta.url)

const SECRET = 'a-secret-of-thirty-two-bytes-or-more'
const DEVELOPMENT: Environment = {
  NODE_ENV: 'development',
  DATABASE_URL: 'postgresql://ratchet:pg-password@db:5432/ratchet',
  REDIS_URL: 'redis://:redis-password@cache:6379',
  APP_SECRETS: SECRET,
}
const PRODUCTION: Environment = {
  ...DEVELOPMENT,
  NODE_ENV: 'production',
  PUBLIC_URL: 'https://auth.example.com',
  TRUST_PROXY: 'false',
  SMTP_URL: 'smtp://user:smtp-password@mail:587',
  MAIL_FROM: 'Auth <auth@example.com>',
}
const { DATABASE_URL: _, ...WITHOUT_DATABASE } = DEVELOPMENT
const PARTS: Environment = { DB_HOST: 'db', DB_NAME: 'ratchet', DB_USER: 'u', DB_PASSWORD: 'p' }

function faultsOf(env: Environment): readonly string[] {
  try {
    loadConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
}

/** The names that loadConfig reads. */
function namesRead(env: Environment): string[] {
  const names = new Set<string>()
  const watched = new Proxy(env, {
    get(target, name) {
      names.add(String(name))
      return target[String(name)]
    },
    has(target, name) {
      names.add(String(name))
      return name in target
    },
    // A spread of the environment comes out empty, so what it reads would be missing below.
    ownKeys: () => [],
  })
  try {
    loadConfig(watched)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
  }
  return [...names]
}

t.test('.env.example has exactly the variables that loadConfig reads', async (t) => {
  const read = new Set(
    [
      {},
      DEVELOPMENT,
      PRODUCTION,
      { ...DEVELOPMENT, APP_URL: 'https://app.example.com', ARGON2_CONCURRENCY: '2' },
      { ...DEVELOPMENT, RESEND_API_KEY: 're_key' },
      { ...WITHOUT_DATABASE, ...PARTS },
      { ...WITHOUT_DATABASE, DB_SECRET_JSON: '{}' },
    ].flatMap(namesRead),
  )
  const lines = readFileSync(new URL('../.env.example', import.meta.url), 'utf8').split('\n')
  const listed = lines.flatMap((line) => /^(?:# )?([A-Z][A-Z0-9_]*)=/.exec(line)?.[1] ?? [])
  t.strictSame([...VARIABLES].sort(), [...read].sort())
  t.strictSame(listed, VARIABLES)
  t.equal(new Set(listed).size, listed.length, 'no variable is listed twice')
})

t.test('.env.example names the actual defaults', async (t) => {
  const text = readFileSync(new URL('../.env.example', import.meta.url), 'utf8')
  const commented = Object.fromEntries(
    [...text.matchAll(/^# ([A-Z][A-Z0-9_]*)=(.+)$/gm)].map(([, name = '', value = '']) => [name, value]),
  )
  // DB_PORT is used only together with the other parts.
  const { DB_PORT, ...defaults } = commented
  t.strictSame(loadConfig({ ...PRODUCTION, ...defaults }), loadConfig(PRODUCTION))
  const { INBOX_DIR } = defaults
  t.strictSame(loadConfig({ ...DEVELOPMENT, INBOX_DIR }), loadConfig(DEVELOPMENT))
  const parts = { ...WITHOUT_DATABASE, ...PARTS }
  t.strictSame(loadConfig({ ...parts, DB_PORT }), loadConfig(parts))
})

t.test('deploy/compose.yaml configures the server', async (t) => {
  const text = readFileSync(new URL('../deploy/compose.yaml', import.meta.url), 'utf8')
  const service = /^ {2}ratchet:\n((?: {4}.*\n)+)/m.exec(text)?.[1] ?? ''
  const env = Object.fromEntries(
    [...service.matchAll(/^ {6}([A-Z][A-Z0-9_]*): (.+)$/gm)].map(([, name = '', value = '']) => [
      name,
      value
        .replace(/^"(.*)"$/, '$1')
        .replace(/^\$\{\w+:-(.*)\}$/, '$1')
        .replace(/^\$\{\w+:\?.*\}$/, ''),
    ]),
  )
  t.strictSame(
    Object.keys(env).filter((name) => !VARIABLES.some((known) => known === name)),
    [],
  )
  t.throws(() => loadConfig(env), /APP_SECRETS/, 'no secret that everybody knows')
  const { APP_SECRETS } = PRODUCTION
  t.match(loadConfig({ ...env, APP_SECRETS }), {
    production: true,
    publicUrl: 'http://localhost:8080',
    runMigrations: true,
    mail: { kind: 'smtp' },
  })
})

t.test('defaults', async (t) => {
  t.match(loadConfig(DEVELOPMENT), {
    production: false,
    host: '127.0.0.1',
    port: 8080,
    publicUrl: 'http://localhost:8080',
    appUrl: undefined,
    signInUrl: undefined,
    allowedOrigins: [],
    trustProxy: false,
    runMigrations: false,
    mail: { kind: 'inbox', dir: '.data/inbox' },
    accessToken: { ttl: 600, alg: 'ES256', audience: 'http://localhost:8080' },
    refresh: { idleTtl: 1_209_600, absoluteTtl: 7_776_000, grace: 10 },
    cookies: { sameSite: 'lax', suffix: undefined },
    passwordMinLength: 12,
    argon2: { memoryKib: 19_456, iterations: 2, parallelism: 1, concurrency: undefined },
    auditRetentionDays: 365,
    databasePoolSize: 10,
    ledgerFlushMs: 500,
    backgroundWork: 'continuous',
    rateLimits: true,
    logLevel: 'info',
  })
  t.match(loadConfig(PRODUCTION), {
    production: true,
    host: '0.0.0.0',
    accessToken: { audience: 'https://auth.example.com' },
    mail: { kind: 'smtp' },
  })
})

t.test('a budget is a known name with points and seconds', async (t) => {
  const budgets = (list: string) => ({ ...DEVELOPMENT, RATE_LIMIT_BUDGETS: list })
  const { routeBudgets: defaults } = loadConfig(DEVELOPMENT)
  t.strictSame(defaults.login, { points: 30, seconds: 60 })
  t.strictSame(loadConfig(budgets(' login=7/90 , unlock=1/1,')).routeBudgets, {
    ...defaults,
    login: { points: 7, seconds: 90 },
    unlock: { points: 1, seconds: 1 },
  })
  for (const wrong of [
    'login',
    'login=30',
    'login=0/60',
    'login=30/0',
    'login=-1/60',
    'login=1.5/60',
    'login=30/86401',
    'login=30/60/60',
    'Login=30/60',
    'logins=30/60',
    'toString=30/60',
    '__proto__=30/60',
    'login=30/60;unlock=30/60',
    'login=30/60,login=40/60',
  ]) {
    const [fault, ...others] = faultsOf(budgets(wrong))
    t.match(fault, /^RATE_LIMIT_BUDGETS must be a list of name=points\/seconds/, wrong)
    t.strictSame(others, [])
  }
})

t.test('docs/configuration.md lists every budget with its default', async (t) => {
  const text = readFileSync(new URL('../docs/configuration.md', import.meta.url), 'utf8')
  const listed = [...text.matchAll(/^\| `(\w+)` \| (\d+)\/(\d+) \|/gm)].map(([, name, points, seconds]) => [
    name,
    { points: Number(points), seconds: Number(seconds) },
  ])
  t.strictSame(Object.fromEntries(listed), loadConfig(DEVELOPMENT).routeBudgets)
})

t.test('an empty variable counts as not set', async (t) => {
  const empty = { PORT: '', APP_URL: '', COOKIE_SAMESITE: '', ALLOWED_ORIGINS: '', TRUST_PROXY: '' }
  t.strictSame(loadConfig({ ...DEVELOPMENT, ...empty }), loadConfig(DEVELOPMENT))
})

t.test('blanks and line breaks around a value mean nothing', async (t) => {
  const expected = loadConfig(PRODUCTION)
  for (const around of [
    (it: string) => `${it}\n`,
    (it: string) => `\r\n\t ${it} \r\n`,
    (it: string) => `\ufeff${it}`,
  ]) {
    const env = Object.entries(PRODUCTION).map(([name, value]) => [name, value && around(value)])
    t.strictSame(loadConfig(Object.fromEntries(env)), expected)
    const parts = Object.entries({ ...PARTS, DB_PORT: '7000', DB_SSLMODE: 'verify-full' })
    t.equal(
      loadConfig({
        ...WITHOUT_DATABASE,
        ...Object.fromEntries(parts.map(([name, value]) => [name, around(value ?? '')])),
      }).database.url,
      'postgresql://u:p@db:7000/ratchet?sslmode=verify-full',
    )
    t.strictSame(
      loadConfig({ ...DEVELOPMENT, ALLOWED_ORIGINS: around('https://a.example , https://b.example') })
        .allowedOrigins,
      ['https://a.example', 'https://b.example'],
    )
  }
})

t.test('within an address a blank or line break is a fault', async (t) => {
  for (const [name, value] of [
    ['DATABASE_URL', 'postgres://me:can ary@db/x'],
    ['DATABASE_URL', 'postgres://me:canary@db/x\n?sslmode=require'],
    ['DATABASE_URL', 'postgres://me:can\tary@db/x'],
    ['SMTP_URL', 'smtp://me:can\nary@mail'],
    ['REDIS_URL', 'redis://:can ary@cache'],
    ['PUBLIC_URL', 'https://auth.exam\nple.com'],
    ['ALLOWED_ORIGINS', 'https://a.exam\tple'],
    ['APP_URL', 'https://app.example.com/a b'],
    ['SIGN_IN_URL', 'https://app.example\n.com'],
    ['BREACHED_PASSWORDS_URL', 'https://range.exam ple.com'],
    ['SUPPORT_URL', 'https://help.example.com/a b'],
    ['APP_LOGO_URL', 'https://cdn.example.com/a\nb.png'],
    ['PASSKEY_ORIGINS', 'https://a\t.example.com'],
    ['HOST', '127.0. 0.1'],
  ] as const) {
    const faults = faultsOf({ ...PRODUCTION, [name]: value })
    t.match(faults, [new RegExp(`^${name} must be`)], `${name} ${JSON.stringify(value)}`)
    t.notMatch(faults.join(), /can|ary/, name)
  }
})

t.test('a dot at the end of a host is a fault: to browsers it is another host', async (t) => {
  for (const name of ['PUBLIC_URL', 'ALLOWED_ORIGINS', 'APP_URL', 'SIGN_IN_URL', 'PASSKEY_ORIGINS'])
    for (const value of [
      'https://auth.example.com.',
      'https://auth.example.com.:8443',
      'https://localhost.',
      'https://a.localhost.',
    ])
      t.match(
        faultsOf({ ...PRODUCTION, [name]: value }).join('\n'),
        new RegExp(`^${name} must not have a dot`, 'm'),
        value,
      )
  t.match(faultsOf({ ...PRODUCTION, APP_URL: 'https://app.example.com./x' }), [
    /^APP_URL must not have a dot/,
  ])
})

t.test('whatever a variable holds, it works or is a fault that does not show it', async (t) => {
  const lines = readFileSync(new URL('../.env.example', import.meta.url), 'utf8').matchAll(
    /^(?:# )?([A-Z][A-Z0-9_]*)=/gm,
  )
  const values = [
    ...[
      'canary',
      '"canary"',
      'canary canary',
      'canary\ncanary',
      '\u202ecanary',
      'canary@canary',
      '{"host":"canary"}',
    ],
    ...[
      'https://canary:canary@x',
      'https://x/?canary',
      'http://[canary',
      '//canary',
      'javascript:canary',
      'postgres:canary',
    ],
    ...[
      'postgres://u:canary@[::1',
      'postgres://u:canary@%zz/x',
      'smtp://u:canary@',
      'redis://:canary@',
      'redis://x:99999',
    ],
    ...[
      '1e3',
      '-1',
      '１２',
      'TRUE',
      '[]',
      'null',
      '*',
      ',',
      '%zz',
      '../..',
      '__proto__',
      '__proto__=1/1',
      '::/0',
      '\u0000',
    ],
  ]
  for (const [, name = ''] of lines) {
    const others = name.startsWith('DB_')
      ? { ...PARTS, DATABASE_URL: undefined }
      : name.startsWith('RESEND')
        ? { SMTP_URL: '', RESEND_API_KEY: 're_1' }
        : {}
    for (const value of values)
      for (const base of [DEVELOPMENT, PRODUCTION])
        t.notMatch(faultsOf({ ...base, ...others, [name]: value }).join(), /canary/, `${name}=${value}`)
  }
  for (const key of ['re_can\nary', 'ré', 're can'])
    t.match(faultsOf({ ...PRODUCTION, SMTP_URL: '', RESEND_API_KEY: key }), [/^RESEND_API_KEY must be/])
})

t.test('HOST is an address or a name, and nothing more', async (t) => {
  for (const HOST of [
    '0.0.0.0',
    '::',
    '[::]',
    'localhost',
    'localhost.',
    'node-1.internal',
    'fe80::1%eth0',
    'a_b',
  ])
    t.strictSame(faultsOf({ ...DEVELOPMENT, HOST }), [], HOST)
  for (const HOST of [
    'http://0.0.0.0',
    '0.0.0.0:8080',
    '[::1]:80',
    'a b',
    'a/b',
    '*',
    'user:canary@host',
    '-a',
    '[::',
  ])
    t.match(faultsOf({ ...DEVELOPMENT, HOST }), [/^HOST must be .*PORT$/], HOST)
})

t.test('a parameter of DATABASE_URL is one that has a meaning', async (t) => {
  const base = 'postgres://me:canary@db/x'
  const faults = (query: string, start = base) =>
    faultsOf({ ...DEVELOPMENT, DATABASE_URL: `${start}?${query}` })
  for (const query of [
    'sslmode=verify-full&schema=auth&pgbouncer=true',
    'sslmode=require&channel_binding=require',
    'pgbouncer=true&connection_limit=1&pool_timeout=10',
    'options=-c%20search_path%3Dauth&application_name=a%20b',
    `sslcert=${encodeURIComponent(THIS)}`,
    'ssl=true',
    'connect_timeout=10&target_session_attrs=read-write',
    'schema=a%22b',
    '',
  ])
    t.strictSame(faults(query), [], query)
  for (const [query, fault] of [
    ['sslMode=require', /misspelt parameter: write sslmode$/],
    ['ssl_mode=require', /write sslmode$/],
    ['SSLMODE=require', /write sslmode$/],
    ['ssl-mode=require', /write sslmode$/],
    ['sslmode%20=require', /write sslmode$/],
    ['sslRootCert=x', /write sslrootcert$/],
    ['pg_bouncer=true', /write pgbouncer$/],
    ['tls=true', /no meaning here/],
    ['sslmodee=require', /no meaning here/],
    ['canary=1', /no meaning here/],
    ['=x', /no meaning here/],
    ['__proto__=x', /no meaning here/],
    ['sslmode=requre', /sslmode must be one of disable, /],
    ['sslmode=Require', /sslmode must be one of/],
    ['sslmode=', /sslmode must be one of/],
    ['sslmode', /sslmode must be one of/],
    ['sslmode=allow', /sslmode must be one of/],
    ['sslmode=canary', /sslmode must be one of/],
    ['ssl=yes', /ssl must be one of/],
    ['ssl=false', /ssl must be one of/],
    ['sslmode=disable&sslmode=verify-full', /sslmode is there more than once/],
    ['schema=a&schema=b', /schema is there more than once/],
    ['sslrootcert=/nowhere', /sslrootcert must be the path/],
    ['sslrootcert=system', /sslrootcert must be the path/],
    [
      `sslrootcert=${encodeURIComponent(THIS)}`,
      /sslrootcert must be the path of a PEM file with certificates$/,
    ],
    ['sslcert=/nowhere', /sslcert must be the path of a file/],
    ['pgbouncer=yes', /pgbouncer must be one of true, false/],
    ['schema=', /schema must be the name/],
    ['schema=a%00b', /schema must be the name/],
    [`schema=${'ä'.repeat(32)}`, /schema must be the name/],
    ['client_encoding=latin1', /client_encoding must be one of/],
    ['host=elsewhere.example.com', /host must be the folder of a Unix socket/],
    ['host=127.0.0.1', /host must be the folder of a Unix socket/],
    ['host=', /host must be the folder of a Unix socket/],
    ['host=/var/run/postgresql', /write localhost before the path/],
    ['user=root', /two values for user/],
    ['password=canary', /two values for password/],
    ['port=canary', /port must be a port/],
    ['port=65536', /port must be a port/],
    ['port=', /port must be a port/],
    ['ssl=true&sslmode=disable', /contradict each other/],
  ] as const) {
    const found = faults(query)
    t.equal(found.length, 1, `${query}: ${found}`)
    t.match(found[0], /^DATABASE_URL/)
    t.match(found[0], fault, query)
    t.notMatch(found[0], /canary|requre/)
  }
  for (const start of [
    'postgres://me:canary@localhost/x',
    'postgres:///x',
    'postgres://[::1]:5433/x',
    'postgres://localhost./x',
  ])
    t.strictSame(faults('host=/cloudsql/project:region:instance', start), [], start)
  t.match(faults('', 'postgres://me:canary@db:0/x'), [/port must be from 1/])
  t.strictSame(faults('ssl=true&sslmode=require'), [])
  t.strictSame(faults('host=/run&port=5433&user=me&password=canary', 'postgres:///x'), [])
  for (const [name, value, fault] of [
    ['DB_SSLMODE', 'Require', /^DB_SSLMODE must be one of/],
    ['DB_SCHEMA', 'x'.repeat(64), /^DB_SCHEMA must be the name/],
    ['DB_PGBOUNCER', '1', /^DB_PGBOUNCER must be one of/],
    ['DB_PORT', '5432/other?sslmode=disable', /^DB_PORT must be a port/],
    ['DB_PORT', 'tcp://10.0.0.1:5432', /^DB_PORT must be a port/],
    ['DB_PORT', '0', /^DB_PORT must be a port/],
    ['DB_HOST', 'postgres://db', /^DB_HOST must be/],
    ['DB_HOST', 'db:5432', /^DB_HOST must be/],
  ] as const)
    t.match(faultsOf({ ...WITHOUT_DATABASE, ...PARTS, [name]: value }), [fault], `${name} ${value}`)
  t.equal(
    new URL(
      loadConfig({ ...WITHOUT_DATABASE, ...PARTS, DB_SCHEMA: 'a b&c=d%22"e' }).database.url,
    ).searchParams.get('schema'),
    'a b&c=d%22"e',
  )
  for (const json of ['null', '5', '[]', '"x"', '{"host":{}}', '{"host":"db","port":[1]}', '{"host":true}'])
    t.match(faultsOf({ ...WITHOUT_DATABASE, DB_SECRET_JSON: json }).join(), /DB_SECRET_JSON/, json)
})

t.test('without NODE_ENV, or with an empty one, a server is in production', async (t) => {
  const { NODE_ENV: _, ...unset } = PRODUCTION
  const production = loadConfig(PRODUCTION)
  t.equal(production.production, true)
  for (const env of [
    unset,
    { ...unset, NODE_ENV: undefined },
    { ...unset, NODE_ENV: '' },
    { ...unset, NODE_ENV: ' ' },
  ]) {
    t.strictSame(loadConfig(env), production)
  }
  t.match(faultsOf({ ...WITHOUT_DATABASE, NODE_ENV: '' }).join('\n'), /PUBLIC_URL is missing/)
  for (const value of ['prod', 'Production', 'staging']) {
    t.match(faultsOf({ ...PRODUCTION, NODE_ENV: value }), [/^NODE_ENV must be one of/], value)
  }
})

t.test('production speaks https with everything, except on this machine', async (t) => {
  const resend = { ...PRODUCTION, SMTP_URL: undefined, RESEND_API_KEY: 're_key' }
  const cases: [name: string, env: Environment][] = [
    ['PUBLIC_URL', PRODUCTION],
    ['APP_URL', PRODUCTION],
    ['ALLOWED_ORIGINS', PRODUCTION],
    ['PASSKEY_ORIGINS', PRODUCTION],
    ['BREACHED_PASSWORDS_URL', PRODUCTION],
    ['RESEND_BASE_URL', resend],
  ]
  for (const [name, env] of cases) {
    const faults = (value: string) =>
      faultsOf({ ...env, [name]: value }).filter((fault) => fault.startsWith(`${name} must be`))
    for (const host of [
      'example.com',
      '10.0.0.1',
      '0.0.0.0',
      'localhost.example.com',
      '127.0.0.1.example.com',
    ]) {
      t.match(faults(`http://${host}`), [/^\w+ must be https in production/], `${name}: ${host}`)
      t.strictSame(
        faultsOf({ ...env, NODE_ENV: 'development', [name]: `http://${host}`, PASSKEY_RP_ID: '' }).filter(
          (fault) => /must be https/.test(fault),
        ),
        [],
      )
    }
    for (const host of ['localhost', 'localhost:3000', '127.0.0.1:8025', '[::1]', '127.9.9.9']) {
      t.strictSame(faults(`http://${host}`), [], `${name}: ${host}`)
    }
    t.strictSame(faults('https://example.com'), [], name)
    t.equal(faults('ftp://example.com').length, 1, name)
  }
  for (const name of ['APP_URL', 'BREACHED_PASSWORDS_URL']) {
    t.match(
      faultsOf({ ...PRODUCTION, [name]: 'HTTP://Example.com/x' }),
      [/must be https in production/],
      name,
    )
  }
  t.match(faultsOf({ ...PRODUCTION, ALLOWED_ORIGINS: 'https://a.example,http://b.example' }), [
    /^ALLOWED_ORIGINS/,
  ])
  t.strictSame(faultsOf({ ...PRODUCTION, BREACHED_PASSWORDS_URL: 'off' }), [])
})

t.test('an app may have a scheme of its own, as an origin and in links', async (t) => {
  const origins = [
    'capacitor://localhost',
    'ionic://localhost',
    'app://-',
    'tauri://localhost',
    'app://my.app:80',
    'chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb',
    'moz-extension://2a1b5c3d-0000-4000-8000-000000000000',
    'safari-web-extension://E7A5C0DE-0000-4000-8000-00000000ABCD',
    'http://tauri.localhost',
    'https://tauri.localhost',
  ]
  t.strictSame(loadConfig({ ...PRODUCTION, ALLOWED_ORIGINS: origins.join() }).allowedOrigins, origins)
  t.strictSame(
    loadConfig({ ...PRODUCTION, ALLOWED_ORIGINS: 'capacitor://localhost' }).passkeys.origins,
    ['https://auth.example.com'],
    'a passkey belongs to a domain',
  )
  const links = ['com.example.app:/auth', 'com.example.app://auth', 'myapp://link/auth', 'com.example.app:']
  for (const value of links) {
    t.equal(loadConfig({ ...PRODUCTION, APP_URL: `${value}/` }).appUrl, value)
  }
  t.equal(
    loadConfig({ ...PRODUCTION, APP_URL: 'https://app.example.com/#/auth' }).appUrl,
    'https://app.example.com/#/auth',
  )
  const spelt: [value: string, asBrowsersSendIt: string][] = [
    ['https://bücher.example/konto', 'https://xn--bcher-kva.example/konto'],
    ['HTTPS://App.Example.COM:443/Konto/', 'https://app.example.com/Konto'],
    ['https://app.example.com/同意/é', 'https://app.example.com/%E5%90%8C%E6%84%8F/%C3%A9'],
    ['https://app.example.com/a/../b/#/é', 'https://app.example.com/b/#/%C3%A9'],
  ]
  for (const [value, asBrowsersSendIt] of spelt)
    t.equal(loadConfig({ ...PRODUCTION, APP_URL: value }).appUrl, asBrowsersSendIt)
  t.match(faultsOf({ ...PRODUCTION, APP_URL: 'https://app.example.com/x?' }), [/^APP_URL must be/])
  const never = [
    'javascript:/x',
    'JavaScript://x',
    'data:/x',
    'file:///x',
    'ws://x',
    'ftp://x',
    'blob://x',
    'mailto:/x',
  ]
  for (const value of [
    ...never,
    'localhost:3000',
    'app.example.com',
    'app://a b',
    'app://x?y=1',
    '*',
    'null',
  ]) {
    for (const name of ['APP_URL', 'ALLOWED_ORIGINS']) {
      t.match(
        faultsOf({ ...PRODUCTION, [name]: value }),
        [new RegExp(`^${name} must be`)],
        `${name}: ${value}`,
      )
    }
  }
  for (const value of ['com.example.app:/x', 'app:/', 'capacitor://localhost/x', 'app://']) {
    t.match(faultsOf({ ...PRODUCTION, ALLOWED_ORIGINS: value }), [/^ALLOWED_ORIGINS must be/], value)
  }
})

t.test('a page of help and a logo can have any address of the web', async (t) => {
  const SUPPORT_URL = 'https://bücher.example/@shop?a=b#contact'
  const APP_LOGO_URL = 'https://cdn.example.com/npm/tea@1.2/logo.svg#dark'
  const { brand } = loadConfig({ ...PRODUCTION, SUPPORT_URL, APP_LOGO_URL })
  t.match(brand, {
    support: 'https://xn--bcher-kva.example/@shop?a=b#contact',
    logoUrl: APP_LOGO_URL,
  })
  for (const value of [
    'https://me:canary@example.com/',
    'https://canary@example.com',
    'https:/x',
    'canary',
    'https://*',
  ]) {
    for (const name of ['SUPPORT_URL', 'APP_LOGO_URL']) {
      const faults = faultsOf({ ...PRODUCTION, [name]: value })
      t.match(faults, [new RegExp(`^${name} must be a URL starting with https://`)], value)
      t.equal(faults.length, 1)
      t.notMatch(faults.join(), 'canary')
    }
  }
  t.match(faultsOf({ ...PRODUCTION, APP_LOGO_URL: 'http://cdn.example.com/x' }), [/^APP_LOGO_URL must be/])
})

t.test('an origin is exact: a wildcard is refused, and another spelling is that of browsers', async (t) => {
  for (const wildcard of [
    '*',
    'https://*.example.com',
    'https://*',
    'https://app.*.com',
    'app://*',
    'capacitor://*.localhost',
    'http://localhost:*',
    'https://a.example.com,https://*.example.com',
  ]) {
    t.strictSame(faultsOf({ ...DEVELOPMENT, ALLOWED_ORIGINS: wildcard }), [
      'ALLOWED_ORIGINS must be exact: list every origin, without a wildcard',
    ])
  }
  t.match(faultsOf({ ...DEVELOPMENT, PUBLIC_URL: 'https://*.example.com' }), [/^PUBLIC_URL must be exact/])
  t.match(faultsOf({ ...DEVELOPMENT, APP_URL: 'https://*.example.com' }), [/^APP_URL must be/])
  const spellings = ['HTTPS://App.Example.com/', 'https://app.example.com:443', 'http://[0:0::1]:3000']
  t.strictSame(loadConfig({ ...DEVELOPMENT, ALLOWED_ORIGINS: spellings.join() }).allowedOrigins, [
    'https://app.example.com',
    'https://app.example.com',
    'http://[::1]:3000',
  ])
  for (const value of [
    'https:app.example.com',
    'https://app.example.com/x',
    'https://app.example.com?',
    'https://app.example.com#x',
    'https://user@app.example.com',
    "https://app'.example.com",
    'https://a.example.com\\@b.example.com',
    'https:///app.example.com',
    'https://',
    'null',
  ]) {
    t.match(faultsOf({ ...DEVELOPMENT, ALLOWED_ORIGINS: value }), [/^ALLOWED_ORIGINS must be/], value)
  }
})

t.test('passkeys belong to a domain that browsers accept', async (t) => {
  const of = (PUBLIC_URL: string, PASSKEY_RP_ID: string) =>
    loadConfig({ ...PRODUCTION, PUBLIC_URL, PASSKEY_RP_ID }).passkeys.rpId
  t.equal(of('https://auth.example.com', ''), 'auth.example.com')
  t.equal(of('https://auth.example.com', 'example.com'), 'example.com')
  t.equal(of('https://intranet', ''), 'intranet')
  for (const PASSKEY_RP_ID of ['com', 'ample.com', 'www.auth.example.com', 'https://example.com', '.com'])
    t.match(
      faultsOf({ ...PRODUCTION, PUBLIC_URL: 'https://auth.example.com', PASSKEY_RP_ID }),
      [/^PASSKEY_RP_ID must be/],
      PASSKEY_RP_ID,
    )
})

t.test('hosts can be IPv6 addresses', async (t) => {
  for (const PUBLIC_URL of ['http://[::1]:8080', 'https://[2001:db8::1]']) {
    const config = loadConfig({ ...PRODUCTION, PUBLIC_URL })
    t.equal(config.publicUrl, PUBLIC_URL)
    t.equal(config.accessToken.audience, PUBLIC_URL)
  }
  t.strictSame(faultsOf({ ...PRODUCTION, PUBLIC_URL: 'http://[2001:db8::1]' }), [
    'PUBLIC_URL must be https in production, except on this machine',
  ])
  t.match(
    faultsOf({ ...PRODUCTION, PUBLIC_URL: 'https://[2001:db8::1]', PASSKEY_RP_ID: 'example.com' }),
    [/^PASSKEY_RP_ID must be/],
    'a domain has to fit',
  )
  for (const HOST of ['::1', '[::1]']) t.equal(loadConfig({ ...DEVELOPMENT, HOST }).host, '::1')
  for (const DB_HOST of ['::1', '[::1]']) {
    const { url: databaseUrl } = loadConfig({ ...WITHOUT_DATABASE, ...PARTS, DB_HOST }).database
    t.equal(new URL(databaseUrl).hostname, '[::1]')
  }
  const DB_SECRET_JSON = JSON.stringify({
    host: '2001:db8::5',
    port: 5433,
    dbname: 'd',
    username: 'u',
    password: 'p',
  })
  t.equal(
    loadConfig({ ...WITHOUT_DATABASE, DB_SECRET_JSON }).database.url,
    'postgresql://u:p@[2001:db8::5]:5433/d',
  )
  t.match(faultsOf({ ...WITHOUT_DATABASE, ...PARTS, DB_HOST: '::1::' }), [/^DB_HOST must be/])
})

t.test('HSTS is sent over https, but for this machine, and can be chosen', async (t) => {
  const hsts = (env: Environment) => loadConfig({ ...DEVELOPMENT, ...env }).hsts
  const usual = 'max-age=31536000; includeSubDomains'
  t.equal(hsts({ PUBLIC_URL: 'https://auth.example.com' }), usual)
  for (const host of ['localhost:8443', 'auth.localhost', '127.0.0.1:8443', '127.8.0.1', '[::1]:8443']) {
    t.equal(hsts({ PUBLIC_URL: `https://${host}` }), undefined, host)
    t.equal(hsts({ PUBLIC_URL: `https://${host}`, HSTS: usual }), undefined, host)
  }
  t.equal(hsts({ PUBLIC_URL: 'http://auth.example.com' }), undefined)
  t.equal(hsts({ PUBLIC_URL: 'https://auth.example.com', HSTS: 'off' }), undefined)
  for (const value of ['max-age=0', 'max-age=300', 'max-age=63072000; includeSubDomains; preload']) {
    t.equal(hsts({ PUBLIC_URL: 'https://auth.example.com', HSTS: value }), value)
  }
  for (const value of ['true', '300', 'max-age=', 'max-age=1\r\nx: y', 'max-age=1; report-uri=x']) {
    t.match(faultsOf({ ...DEVELOPMENT, HSTS: value }), [/^HSTS must be/], value)
  }
})

t.test('a suffix of the cookie names is a few plain characters', async (t) => {
  t.equal(loadConfig({ ...DEVELOPMENT, COOKIE_NAME_SUFFIX: 'shop_2-b' }).cookies.suffix, 'shop_2-b')
  t.equal(loadConfig({ ...DEVELOPMENT, COOKIE_NAME_SUFFIX: '' }).cookies.suffix, undefined)
  for (const value of ['a b', 'a;b', 'a=b', 'a.b', 'ä', 'a'.repeat(33)]) {
    t.match(faultsOf({ ...DEVELOPMENT, COOKIE_NAME_SUFFIX: value }), [/^COOKIE_NAME_SUFFIX must be/], value)
  }
})

t.test('a secret that is a pattern is refused in production, and not shown', async (t) => {
  const patterns = [
    'a'.repeat(32),
    `${'a'.repeat(40)}b`,
    'ab'.repeat(20),
    'changeme'.repeat(5),
    'change-me-'.repeat(5).slice(0, 43),
    'correcthorsebattery1correcthorsebattery1',
    '😀'.repeat(8),
    '0'.repeat(64),
    '01'.repeat(16),
    '0123456789'.repeat(4),
    'abcdefghijklmnopqrstuvwxyz0123456789',
    'zyxwvutsrqponmlkjihgfedcba9876543210',
    'aabbccddeeffgghhiijjkkllmmnnooppqq',
  ]
  for (const pattern of patterns) {
    for (const secrets of [pattern, `${SECRET},${pattern}`]) {
      const faults = faultsOf({ ...PRODUCTION, APP_SECRETS: secrets })
      t.match(faults, [/^APP_SECRETS: .* pattern/], pattern)
      t.notOk(faults.join().includes(pattern))
    }
    t.strictSame(faultsOf({ ...DEVELOPMENT, APP_SECRETS: pattern }), [])
  }
  const encodings = ['base64', 'base64url', 'hex'] as const
  for (let n = 0; n < 500; n++) {
    const secrets = encodings.map((encoding) => randomBytes(32).toString(encoding))
    secrets.push(Array.from({ length: 32 }, () => randomInt(10)).join(''))
    t.strictSame(faultsOf({ ...PRODUCTION, APP_SECRETS: secrets.join() }), [])
  }
})

t.test('all errors are reported at once, by name', async (t) => {
  const message = new ConfigError(
    faultsOf({ NODE_ENV: 'production', PORT: 'eighty', LOG_LEVEL: 'loud', RUN_MIGRATIONS: 'yes' }),
  ).message
  const names = ['PUBLIC_URL', 'PORT', 'DATABASE_URL', 'REDIS_URL', 'APP_SECRETS', 'RUN_MIGRATIONS']
  for (const name of [...names, 'MAIL_FROM', 'RESEND_API_KEY', 'LOG_LEVEL']) {
    t.match(message, new RegExp(`^ {2}- .*\\b${name}\\b`, 'm'), name)
  }
})

t.test('what is missing or wrong comes with what was misspelt', async (t) => {
  const env = { ...WITHOUT_DATABASE, DATABSE_URL: 'postgresql://canary' }
  t.strictSame(faultsOf(env), ['DATABASE_URL is missing', 'DATABSE_URL is not read: was DATABASE_URL meant?'])
  t.strictSame(loadConfig({ ...DEVELOPMENT, ALOWED_ORIGINS: 'canary' }).misspelt, [
    { name: 'ALOWED_ORIGINS', meant: 'ALLOWED_ORIGINS' },
  ])
})

t.test('no part of a password can be taken for something that is shown', async (t) => {
  const urls = ['DATABASE_URL', 'SMTP_URL', 'REDIS_URL'].flatMap((name) =>
    [
      'me:12#canary@host',
      'me:12/canary@host',
      'me:12?canary@host',
      'me:canary@host/x#y',
      'me:canary@host/x#',
      'me:canary%zz@host',
      'me:canary%ff@host',
      '12/canary@host',
      'me:can#ary@host',
    ].map((rest) => [name, rest] as const),
  )
  const scheme = { DATABASE_URL: 'postgres', SMTP_URL: 'smtp', REDIS_URL: 'redis' }
  for (const [name, rest] of urls) {
    const faults = faultsOf({ ...PRODUCTION, [name]: `${scheme[name as 'SMTP_URL']}://${rest}` })
    t.match(faults, [new RegExp(`^${name} must be`)], `${name} ${rest}`)
    t.notMatch(faults.join(), /canary|12|me:/, rest)
  }
  for (const [name, url] of [
    ['DATABASE_URL', 'postgres://me:1%232%2F3%3F4%405%25@host:1/db?sslmode=require'],
    ['SMTP_URL', 'smtps://me%40example.com:1%232@host:465'],
    ['REDIS_URL', 'rediss://me:1%232%2F3@host:1/2'],
  ] as const)
    t.same(faultsOf({ ...PRODUCTION, [name]: url }), [], name)
  for (const host of ['a#b', 'a/b', 'a?b', 'me:canary@a', 'a b'])
    t.match(faultsOf({ ...WITHOUT_DATABASE, ...PARTS, DB_HOST: host }), [/^DB_HOST must be/], host)
  for (const name of ['PUBLIC_URL', 'RESEND_BASE_URL', 'BREACHED_PASSWORDS_URL'])
    t.match(
      faultsOf({ ...PRODUCTION, SMTP_URL: '', RESEND_API_KEY: 're_1', [name]: 'https://example.com/a#b' }),
      [new RegExp(`^${name} must be`)],
      name,
    )
})

t.test('no error shows a value', async (t) => {
  const faults = faultsOf({
    NODE_ENV: 'production',
    DATABASE_URL: 'mysql://hidden-value',
    DB_SECRET_JSON: '{hidden-value',
    DB_HOST: 'hidden-value',
    REDIS_URL: 'redis+cluster://:hidden-value@',
    REDIS_CA: 'hidden-value',
    APP_SECRETS: 'hidden-value,hidden-value',
    RESEND_API_KEY: 'hidden-value',
    SMTP_URL: 'hidden-value',
    PUBLIC_URL: 'hidden-value',
    ALLOWED_ORIGINS: 'hidden-value',
    ACCESS_TOKEN_TTL: 'hidden-value',
    COOKIE_SAMESITE: 'hidden-value',
    RUN_MIGRATIONS: 'hidden-value',
    TRUST_PROXY: 'hidden-value',
    MAIL_FROM: 'hidden-value',
    PASSKEY_ORIGINS: 'hidden-value',
    APP_URL: 'hidden-value',
    RESEND_BASE_URL: 'hidden-value',
    BREACHED_PASSWORDS_URL: 'hidden-value',
  })
  t.ok(faults.length >= 9, `${faults.length} faults`)
  t.notMatch(faults.join('\n'), /hidden-value/)
})

t.test('contradictions and weak settings are refused', async (t) => {
  const cases: [name: string, env: Environment, fault: RegExp][] = [
    ['two mail services', { ...PRODUCTION, RESEND_API_KEY: 're_key' }, /^RESEND_API_KEY and SMTP_URL/],
    ['SameSite=None on http', { ...DEVELOPMENT, COOKIE_SAMESITE: 'none' }, /^COOKIE_SAMESITE=none/],
    ['http in production', { ...PRODUCTION, PUBLIC_URL: 'http://auth.example.com' }, /^PUBLIC_URL .*https/],
    ['no mail in production', { ...PRODUCTION, SMTP_URL: undefined }, /^RESEND_API_KEY or SMTP_URL/],
    ['a short secret', { ...DEVELOPMENT, APP_SECRETS: 'short' }, /^APP_SECRETS.*32 bytes/],
    ['a short older secret', { ...DEVELOPMENT, APP_SECRETS: `${SECRET},short` }, /^APP_SECRETS.*32 bytes/],
    ['a secret twice', { ...DEVELOPMENT, APP_SECRETS: `${SECRET},${SECRET}` }, /^APP_SECRETS.*twice/],
    ['idle beyond absolute', { ...DEVELOPMENT, REFRESH_ABSOLUTE_TTL: '3600' }, /^REFRESH_IDLE_TTL/],
    ['cheap hashes in production', { ...PRODUCTION, ARGON2_MEMORY_KIB: '1024' }, /^ARGON2_MEMORY_KIB/],
    ['a long-lived access token', { ...DEVELOPMENT, ACCESS_TOKEN_TTL: '601' }, /^ACCESS_TOKEN_TTL/],
    ['no connection to Postgres', { ...DEVELOPMENT, DB_POOL_SIZE: '0' }, /^DB_POOL_SIZE .*1 to 1000/],
    ['a fraction of one', { ...DEVELOPMENT, DB_POOL_SIZE: '2.5' }, /^DB_POOL_SIZE .*1 to 1000/],
    ['a ledger ahead of time', { ...DEVELOPMENT, LEDGER_FLUSH_MS: '-1' }, /^LEDGER_FLUSH_MS .*0 to 60000/],
    [
      'work by nobody',
      { ...DEVELOPMENT, BACKGROUND_WORK: 'off' },
      /^BACKGROUND_WORK .*continuous, scheduled/,
    ],
    ['a short memory', { ...DEVELOPMENT, AUDIT_RETENTION_DAYS: '29' }, /^AUDIT_RETENTION_DAYS .*30 to 3650/],
    ['a long memory', { ...DEVELOPMENT, AUDIT_RETENTION_DAYS: '3651' }, /^AUDIT_RETENTION_DAYS .*30 to 3650/],
    ['an origin with a path', { ...DEVELOPMENT, ALLOWED_ORIGINS: 'https://a.example/x' }, /^ALLOWED_ORIGINS/],
    ['any origin', { ...DEVELOPMENT, ALLOWED_ORIGINS: '*' }, /^ALLOWED_ORIGINS/],
    ['a URL and parts', { ...DEVELOPMENT, ...PARTS }, /^DATABASE_URL, DB_HOST and DB_SECRET_JSON/],
    ['a URL and JSON', { ...DEVELOPMENT, DB_SECRET_JSON: '{}' }, /^DATABASE_URL, DB_HOST and DB_SECRET_JSON/],
    [
      'JSON twice',
      { ...WITHOUT_DATABASE, DB_SECRET_JSON: '{}', DB_SECRET_FILE: 'x' },
      /^DB_SECRET_JSON and DB_SECRET_FILE/,
    ],
    [
      'no such file',
      { ...WITHOUT_DATABASE, DB_SECRET_FILE: '/no/such/file' },
      /^DB_SECRET_FILE must be the path/,
    ],
    ['broken JSON', { ...WITHOUT_DATABASE, DB_SECRET_JSON: '{' }, /^DB_SECRET_JSON is not JSON/],
    ['JSON with gaps', { ...WITHOUT_DATABASE, DB_SECRET_JSON: '{"host":"db"}' }, /^DB_NAME is missing/],
    ['parts with gaps', { ...WITHOUT_DATABASE, DB_HOST: 'db' }, /^DB_NAME is missing/],
    ['an invalid host', { ...WITHOUT_DATABASE, ...PARTS, DB_HOST: 'a b' }, /^DB_HOST must be/],
    ['another database', { ...DEVELOPMENT, DATABASE_URL: 'mysql://db/x' }, /^DATABASE_URL must be/],
    ['several servers without a cluster', { ...DEVELOPMENT, REDIS_URL: 'redis://a,b' }, /^REDIS_URL must be/],
    [
      'sentinels without a master name',
      { ...DEVELOPMENT, REDIS_URL: 'redis+sentinel://a' },
      /^REDIS_URL must be/,
    ],
    ['an authority without TLS', { ...DEVELOPMENT, REDIS_CA: THIS }, /^REDIS_CA .*rediss/],
    [
      'a sign-in without TLS',
      { ...PRODUCTION, SIGN_IN_URL: 'http://app.example.com' },
      /^SIGN_IN_URL must be https/,
    ],
    ['no authority', { ...DEVELOPMENT, REDIS_URL: 'rediss://a', REDIS_CA: '/nowhere' }, /^REDIS_CA must be/],
    ['no certificate', { ...DEVELOPMENT, REDIS_URL: 'rediss://a', REDIS_CA: THIS }, /^REDIS_CA must be/],
  ]
  for (const [name, env, expected] of cases) {
    const faults = faultsOf(env)
    t.ok(
      faults.some((fault) => expected.test(fault)),
      `${name}: ${faults.join('; ')}`,
    )
  }
  t.strictSame(faultsOf({ ...PRODUCTION, PUBLIC_URL: 'http://localhost:8080' }), [], 'http on loopback')
})

t.test('the database is configured by a URL, by parts or by the JSON of a secret manager', async (t) => {
  const url = (env: Environment) => loadConfig({ ...WITHOUT_DATABASE, ...env }).database.url
  t.equal(url({ DATABASE_URL: 'postgres://db/x' }), 'postgres://db/x')
  t.equal(
    url({ ...PARTS, DB_PASSWORD: 'p@ss/w:rd', DB_SSLMODE: 'verify-full' }),
    'postgresql://u:p%40ss%2Fw%3Ard@db:5432/ratchet?sslmode=verify-full',
  )
  t.equal(
    url({ ...PARTS, DB_SSLMODE: 'require', DB_SCHEMA: 'auth', DB_PGBOUNCER: 'true' }).split('?')[1],
    'sslmode=require&schema=auth&pgbouncer=true',
  )
  const secret = { username: 'admin', password: 'p?', host: 'rds', port: 6432, dbname: 'auth' }
  t.equal(url({ DB_SECRET_JSON: JSON.stringify(secret) }), 'postgresql://admin:p%3F@rds:6432/auth')
  const { dbname: _dbname, port: _port, ...sparse } = secret
  t.equal(
    url({ DB_SECRET_JSON: JSON.stringify(sparse), DB_NAME: 'mine', DB_PORT: '7000' }),
    'postgresql://admin:p%3F@rds:7000/mine',
  )
})

t.test('people sign in at SIGN_IN_URL, else at APP_URL, else at the first allowed origin', async (t) => {
  const origins = { ALLOWED_ORIGINS: 'https://a.example.com,https://b.example.com' }
  const app = { ...origins, APP_URL: 'https://app.example.com/x' }
  const signIn = (env: Environment) => loadConfig({ ...DEVELOPMENT, ...env }).brand.signInUrl
  t.equal(signIn({ ...app, SIGN_IN_URL: 'https://app.example.com/login' }), 'https://app.example.com/login')
  t.equal(signIn(app), 'https://app.example.com/x')
  t.equal(signIn(origins), 'https://a.example.com')
  const ofApps = 'capacitor://localhost,chrome-extension://aapbdbdomjkk'
  t.equal(signIn({ ALLOWED_ORIGINS: `${ofApps},https://b.example.com` }), 'https://b.example.com')
  t.equal(signIn({ ALLOWED_ORIGINS: ofApps }), undefined, 'a mail program opens no such page')
  t.equal(signIn({}), undefined)
})

t.test('TRUST_PROXY accepts a flag, a number of hops or addresses', async (t) => {
  const trust = (value: string) => loadConfig({ ...DEVELOPMENT, TRUST_PROXY: value }).trustProxy
  t.equal(trust('true'), true)
  t.equal(trust('false'), false)
  t.equal(trust('2'), 2)
  for (const places of ['10.0.0.0/8', '::1', 'loopback, fd00::/8,192.0.2.1', 'linklocal,uniquelocal']) {
    t.equal(trust(places), places)
    t.doesNotThrow(() => createTrustHop(places), places)
  }
  for (const value of [
    'maybe',
    '10.0.0.0/99',
    '10.0.0.0/0',
    '10.0.0/8',
    '::1/129',
    '2,::1',
    '::1,',
    'TRUE',
  ]) {
    t.match(faultsOf({ ...DEVELOPMENT, TRUST_PROXY: value }), [/^TRUST_PROXY must be/], value)
  }
})

t.test('TRUST_PROXY cannot be so wide that the client itself is believed', async (t) => {
  for (const value of ['11', '999999', '0.0.0.0/1', '10.0.0.0/7', '::/1', '::ffff:0:0/96', '10.0.0.0/08'])
    t.match(faultsOf({ ...DEVELOPMENT, TRUST_PROXY: value }), [/^TRUST_PROXY must be/], value)
  for (const value of ['10', '10.0.0.0/8', 'fc00::/7', '::ffff:10.0.0.0/104'])
    t.doesNotThrow(() => loadConfig({ ...DEVELOPMENT, TRUST_PROXY: value }), value)
})

t.test('TRUST_PROXY=true would believe anybody, so production refuses it', async (t) => {
  t.match(faultsOf({ ...PRODUCTION, TRUST_PROXY: 'true' }), [/^TRUST_PROXY=true would believe/])
  for (const value of ['false', '0', '1', '10.0.0.0/8'])
    t.doesNotThrow(() => loadConfig({ ...PRODUCTION, TRUST_PROXY: value }), value)
})

t.test('behind https in production, TRUST_PROXY has to say whether there is a proxy', async (t) => {
  const { TRUST_PROXY: _, ...forgotten } = PRODUCTION
  for (const env of [forgotten, { ...forgotten, TRUST_PROXY: '' }])
    t.match(faultsOf(env), [/^TRUST_PROXY is missing: .*number of proxies.* 0 for none$/])
  t.strictSame(faultsOf({ ...forgotten, PUBLIC_URL: 'http://localhost:8080' }), [], 'on this machine')
  t.strictSame(faultsOf({ ...forgotten, NODE_ENV: 'development' }), [])
})

t.test('MAIL_FROM and MAIL_REPLY_TO hold one address each', async (t) => {
  const fine = ['a@b', 'auth+x@example.com', 'Auth <a@b>', 'Ünï (Staging) <a@b>', '"Doe, Ann" <a@b>']
  for (const value of fine) t.equal(loadConfig({ ...PRODUCTION, MAIL_FROM: value }).mail.from, value)
  const wrong = [
    'nonsense',
    'a@',
    '@b',
    'a@b, c@d',
    'Doe, Ann <a@b>',
    'A <a@b> x',
    '<a@b',
    'A <a@b>\nBcc: c@d',
  ]
  for (const name of ['MAIL_FROM', 'MAIL_REPLY_TO']) {
    for (const value of wrong) {
      t.strictSame(
        faultsOf({ ...PRODUCTION, [name]: value }),
        [`${name} must be one address, bare or as Name <address>`],
        value,
      )
    }
  }
})

t.test(
  'passkeys are accepted from origins of this domain, from other listed origins, and from apps',
  async (t) => {
    const env = { ...PRODUCTION, ALLOWED_ORIGINS: 'https://auth.example.com:8443/,https://other.test' }
    const app = 'android:apk-key-hash:2jmj7l5rSw0yVb_vlWAYkK-YBwk'
    const origins = (value: string) => loadConfig({ ...env, PASSKEY_ORIGINS: value }).passkeys.origins
    t.strictSame(origins(`https://shop.example.com/, ${app},ios:bundle-id:com.example.app`), [
      'https://auth.example.com',
      'https://auth.example.com:8443',
      'https://shop.example.com',
      app,
      'ios:bundle-id:com.example.app',
    ])
    for (const value of [
      'shop.example.com',
      'localhost:3000',
      'https://a.example/x',
      `${app}/`,
      'android:x y:z',
    ]) {
      t.match(faultsOf({ ...env, PASSKEY_ORIGINS: value }), [/^PASSKEY_ORIGINS must be/], value)
    }
  },
)
