import { chmod, chown, copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type ConfigError, loadConfig } from '../../src/config.ts'
import { startPostgres } from '../../src/dev/embedded/postgres.ts'
import { DatabaseUnusable, requireUsable } from '../../src/platform/database-check.ts'
import { applyMigrations, MIGRATIONS } from '../../src/platform/migrations.ts'
import { type Certificates, makeCertificates, noOpenssl } from '../support/certificates.ts'
import { startServer } from '../support/server.ts'

const ENV = { NODE_ENV: 'development', APP_SECRETS: 'x'.repeat(32), REDIS_URL: 'redis://localhost' }
const PARTS = { DB_HOST: 'db', DB_NAME: 'ratchet', DB_USER: 'u', DB_PASSWORD: 'p' }

const urlOf = (env: Record<string, string>) => loadConfig({ ...ENV, ...env }).database.url

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    urlOf(env)
    return []
  } catch (error) {
    return (error as ConfigError).faults
  }
}

/** A migrated Postgres with this certificate. @returns the variables that lead to it. */
async function startTlsPostgres(t: Test, { cert, key }: Certificates) {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-tls-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  const dir = join(folder, 'postgres')
  const withoutTls = await startPostgres({ dir, durable: false })
  await applyMigrations(withoutTls.url, MIGRATIONS)
  await withoutTls.stop()
  const { uid, gid } = await stat(join(dir, 'data'))
  for (const [name, from] of [
    ['server.crt', cert],
    ['server.key', key],
  ] as const) {
    const path = join(dir, 'data', name)
    await copyFile(from, path)
    await chmod(path, 0o600)
    await chown(path, uid, gid)
  }
  const postgres = await startPostgres({ dir, durable: false, settings: { ssl: 'on' } })
  t.teardown(() => postgres.stop())
  const { hostname, port, username, password, pathname } = new URL(postgres.url)
  const user = { DB_USER: username, DB_PASSWORD: password }
  return { DB_HOST: hostname, DB_PORT: port, DB_NAME: pathname.slice(1), ...user }
}

t.test('Postgres is verified against the authorities of one file', { skip: noOpenssl }, async (t) => {
  const [right, another, misnamed] = await Promise.all([
    makeCertificates(t),
    makeCertificates(t),
    makeCertificates(t, 'DNS:elsewhere.example'),
  ])
  const parts = await startTlsPostgres(t, right)
  const refuses = (env: Record<string, string>, reason: RegExp) =>
    t.rejects(
      requireUsable({ url: urlOf(env) }),
      { constructor: DatabaseUnusable, message: reason },
      `${reason}`,
    )

  for (const mode of [{ DB_SSLMODE: 'verify-full' }, {}]) {
    const databaseUrl = urlOf({ ...parts, ...mode, DB_SSLROOTCERT: right.caFile })
    const server = await startServer(t, { databaseUrl })
    await server.login(await server.createAccount())
    const { db } = server.app.services
    t.strictSame(await db.$queryRaw`SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`, [
      { ssl: true },
    ])
  }
  await refuses(
    { ...parts, DB_SSLROOTCERT: another.caFile },
    /cannot be reached: .*(?:certificate|signature)/,
  )
  await refuses({ ...parts, DB_SSLMODE: 'verify-full' }, /cannot be reached: .*certificate/)

  const elsewhere = await startTlsPostgres(t, misnamed)
  await refuses({ ...elsewhere, DB_SSLROOTCERT: misnamed.caFile }, /cannot be reached: .*altnames/)
})

t.test(
  'a file of authorities that cannot be used is a fault at the start',
  { skip: noOpenssl },
  async (t) => {
    const { caFile, key } = await makeCertificates(t)
    const broken = join(t.testdir(), 'broken.pem')
    const pem = await readFile(caFile, 'utf8')
    await writeFile(broken, `${pem}${pem.replace(/^MI/m, '?')}`)
    const noPem = /^DB_SSLROOTCERT must be the path of a PEM file with certificates$/
    for (const [env, fault] of [
      [{ DB_SSLROOTCERT: '/nowhere' }, noPem],
      [{ DB_SSLROOTCERT: 'system' }, noPem],
      [{ DB_SSLROOTCERT: key }, noPem],
      [{ DB_SSLROOTCERT: broken }, noPem],
      [{ DB_SSLROOTCERT: caFile, DB_SSLMODE: 'disable' }, /^DB_SSLROOTCERT needs verification/],
      [{ DB_SSLROOTCERT: caFile, DB_SSLMODE: 'no-verify' }, /^DB_SSLROOTCERT needs verification/],
    ] as const)
      t.match(faultsOf({ ...PARTS, ...env }), [fault], JSON.stringify(env))
    t.strictSame(faultsOf({ ...PARTS, DB_SSLROOTCERT: caFile }), [])
    const compatible = 'postgres://db/x?uselibpqcompat=true'
    for (const [parameters, fault] of [
      [`sslmode=prefer&sslrootcert=${caFile}`, /^DATABASE_URL: sslrootcert needs verification/],
      ['sslmode=verify-ca', /^DATABASE_URL: sslmode needs sslrootcert/],
    ] as const)
      t.match(faultsOf({ DATABASE_URL: `${compatible}&${parameters}` }), [fault], parameters)
    t.strictSame(faultsOf({ DATABASE_URL: `${compatible}&sslmode=verify-full&sslrootcert=${caFile}` }), [])
  },
)

t.test('a variable that cannot change DATABASE_URL is a fault', async (t) => {
  const DATABASE_URL = 'postgres://db/x'
  for (const [name, parameter] of Object.entries({
    DB_SSLMODE: 'sslmode',
    DB_SSLROOTCERT: 'sslrootcert',
    DB_SCHEMA: 'schema',
    DB_PGBOUNCER: 'pgbouncer',
  }))
    t.strictSame(faultsOf({ DATABASE_URL, [name]: 'canary' }), [
      `${name} has no effect on DATABASE_URL: write ${parameter} into the URL`,
    ])
})
