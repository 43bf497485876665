import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'

interface Teardown {
  testdir(): string
  teardown(end: () => Promise<unknown>): void
}

/** Prints a file, notes that it ran, takes as long as another file says, and turns to the next values if there are any. */
const PROGRAM = `
const fs = require('node:fs')
const [folder] = process.argv.slice(1)
fs.appendFileSync(folder + '/runs', 'x')
fs.writeFileSync(folder + '/pid', String(process.pid))
setTimeout(() => {
  process.stdout.write(fs.readFileSync(folder + '/values.json'))
  if (fs.existsSync(folder + '/next.json')) fs.renameSync(folder + '/next.json', folder + '/values.json')
}, +fs.readFileSync(folder + '/ms'))`

/** A secret manager that is a file, and the SECRETS_COMMAND that reads it. */
export function createSecretManager(t: Teardown, values: Record<string, string>) {
  const folder = t.testdir()
  const write = (name: string, text: string) => {
    // At once, as a secret manager does.
    writeFileSync(join(folder, `${name}.new`), text)
    renameSync(join(folder, `${name}.new`), join(folder, name))
  }
  const manager = {
    command: JSON.stringify([process.execPath, '-e', PROGRAM, folder]),
    set(changed: Record<string, string>) {
      values = { ...values, ...changed }
      write('values.json', JSON.stringify(values))
    },
    /** The same, once the command has printed what it has now. */
    turn(changed: Record<string, string>) {
      values = { ...values, ...changed }
      write('next.json', JSON.stringify(values))
    },
    /** The command takes so many milliseconds. */
    delay: (ms: number) => write('ms', String(ms)),
    /** Whether the command that was started last runs. */
    isRunning: () => isRunning(Number(readFileSync(join(folder, 'pid'), 'utf8'))),
    /** How often the command ran. */
    runs: () => (existsSync(join(folder, 'runs')) ? readFileSync(join(folder, 'runs')).length : 0),
  }
  manager.delay(0)
  manager.set({})
  return manager
}

/** A process that has ended stays as a zombie until its parent, which may be another program, asks for its exit code. */
export function isRunning(pid: number): boolean {
  const file = `/proc/${pid}/stat`
  return existsSync(file) && !/\) Z /.test(readFileSync(file, 'utf8'))
}

/** A role that may do what the tests do in this database, and whose password can be changed. */
export async function createRole(t: Teardown, url: string) {
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  const name = `role_${randomUUID().replaceAll('-', '')}`
  await admin.query(`CREATE ROLE ${name} LOGIN`)
  await admin.query(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ${name}`)
  t.teardown(async () => {
    await admin.query(`DROP OWNED BY ${name}; DROP ROLE ${name}`)
    await admin.end()
  })
  return {
    name,
    admin,
    /** The same database, as this role. */
    urlWith(password: string) {
      const own = new URL(url)
      own.username = name
      own.password = encodeURIComponent(password)
      return own.href
    },
    setPassword: (password: string) =>
      admin.query(`ALTER ROLE ${name} PASSWORD ${pg.escapeLiteral(password)}`),
    /** Ends its connections, or those that requests use. */
    async cut(which: 'all' | 'of requests') {
      const isOther = "query = '' OR query LIKE '%transaction_read_only%'"
      const where = `usename = $1 ${which === 'all' ? '' : `AND NOT (${isOther})`}`
      const { rows } = await admin.query(
        `SELECT pg_terminate_backend(pid, 30000) AS done FROM pg_stat_activity WHERE ${where}`,
        [name],
      )
      return rows.length
    },
  }
}
