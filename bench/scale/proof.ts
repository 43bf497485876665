import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { lift, mark } from '../../src/core/mail/suppression.ts'
import { createRetention } from '../../src/core/retention/retention.ts'
import { createSealedRows } from '../../src/core/sealed-rows/sealed-rows.ts'
import { OWN_CLIENT } from '../../src/core/sessions/rotation/decide.ts'
import { rotateOnLedger } from '../../src/core/sessions/rotation/ledger-store.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { createSecrets } from '../../src/platform/secrets.ts'
import { silentMetrics as metrics } from '../../test/support/monitor.ts'
import { SILENT } from './measure.ts'
import { drawSessions, promote, type Sampled } from './sample.ts'
import type { Size } from './size.ts'
import type { Statement, TableCounters } from './statistics.ts'
import { callEveryRoute, routesWithout } from './tour/tour.ts'

export interface Proof {
  /** Calls of routes, and the documented routes that were not among them. */
  calls: number
  missing: string[]
  /** The large tables, with the sequential scans of each during the run. */
  tables: { table: string; rows: number; scans: number }[]
  /** The statements that read the most pages in one call: an index can be read as a whole too. */
  heaviest: Statement[]
  /** Statements whose generic plan scans a large table. */
  suspects: { table: string; statement: Statement }[]
}

/** Tables of this many rows or more must not be scanned. */
const LARGE = 10_000
// Backends report their counters within seconds once they are idle.
const REPORT_MS = 11_000
const LOOPS_MS = 5_000
const HEAVIEST = 8

/** Runs every route, loop and command on a size, and reads which tables Postgres scanned. */
export async function proveNoScan(size: Size): Promise<Proof> {
  const { statistics } = size
  const [administrator, ...others] = (await drawSessions(size, 8, new Set())) as [Sampled, ...Sampled[]]
  await promote(size, administrator)
  await sleep(REPORT_MS)
  const before = await statistics.tables()
  await statistics.reset()
  const [target, doomed, offline, ...rest] = others as [Sampled, Sampled, Sampled, ...Sampled[]]
  const called = await callEveryRoute(size, { administrator, target, doomed })
  await runTheRest(size, offline)
  await runCommands(size, rest)
  await sleep(Math.max(LOOPS_MS, REPORT_MS))
  const statements = await statistics.statements()
  const tables = (await statistics.tables()).filter(({ rows }) => rows >= LARGE)
  return {
    calls: called.length,
    missing: await routesWithout(size, called),
    tables: tables.map(({ table, rows, seqScans }) => ({
      table,
      rows,
      scans: seqScans - scansOf(before, table),
    })),
    heaviest: statements.sort((a, b) => b.blocks / b.calls - a.blocks / a.calls).slice(0, HEAVIEST),
    suspects: await findSuspects(
      size,
      tables.map(({ table }) => table),
    ),
  }
}

const scansOf = (counters: readonly TableCounters[], table: string) =>
  counters.find((counter) => counter.table === table)?.seqScans ?? 0

/** What no route reaches in a healthy server: a refresh without Redis, clean-up, renewal, reports of bounced mail. */
async function runTheRest({ signer: { db }, env }: Size, offline: Sampled): Promise<void> {
  const secrets = createSecrets(['a-newer-secret-of-at-least-32-bytes', env.APP_SECRETS as string])
  const request = {
    presented: 0,
    attempt: 'a',
    ...OWN_CLIENT,
    graceMs: 10_000,
    idleTtlMs: 1_209_600_000,
    waitedMs: 0,
  }
  await rotateOnLedger(db, offline.familyHash, request)
  await createRetention({ db, clock: systemClock, log: SILENT, metrics, auditDays: 365 }).run()
  await createSealedRows({ db, secrets, log: SILENT, metrics }).renew()
  await mark(db, offline.email, 'bounced', new Date())
  await lift(db, offline.email, new Date(Date.now() + 1))
}

/** All commands but `mail suppressed` and `restored`, which read whole tables, and those that need no large one. */
async function runCommands({ env }: Size, people: readonly Sampled[]): Promise<void> {
  const [one, two, three] = people as [Sampled, Sampled, Sampled]
  const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [main, ...args], { env: { PATH: process.env.PATH, ...env } })
  await run('migrate', '--check')
  await run('keys', 'list')
  await run('users', 'list')
  await run('users', 'list', 'kowalski')
  await run('users', 'audit')
  await run('users', 'audit', one.email)
  for (const action of ['show', 'grant-admin', 'revoke-admin', 'end-sessions', 'disable', 'enable']) {
    await run('users', action, one.email)
  }
  await run('users', 'require-reset', two.email)
  await run('users', 'delete', three.email, '--yes')
}

/** Asks Postgres how it would run each statement that it has seen. */
async function findSuspects({ statistics }: Size, tables: readonly string[]): Promise<Proof['suspects']> {
  const suspects: Proof['suspects'] = []
  for (const statement of await statistics.statements()) {
    if (!/^(SELECT|WITH|INSERT|UPDATE|DELETE)/i.test(statement.text)) continue
    const plan = await statistics.client
      .query(`EXPLAIN (GENERIC_PLAN) /* bench */ ${statement.text}`)
      .then(({ rows }) => rows.map((row) => row['QUERY PLAN']).join('\n'))
      .catch(() => '')
    for (const table of tables) {
      if (new RegExp(`Seq Scan on (public\\.)?${table}\\b`).test(plan)) suspects.push({ table, statement })
    }
  }
  return suspects
}
