import type { RefreshCost } from './cost.ts'
import { floodReport } from './flood-report.ts'
import type { OperationCost } from './operations.ts'
import type { RefusalCost } from './refusals.ts'
import type { Results } from './results.ts'
import type { Scenario } from './scenario.ts'
import type { StartCost } from './start.ts'

interface Setting {
  concurrency: number
  pacedRate: number
}

interface Aim {
  ratio: number
  by: 'throughput' | 'cpu'
}

interface Row {
  what: string
  measured: string
  cpu: string
  ratio: string
  byCpu: string
  aim: string
  verdict: string
}

/** Prints the best round of each scenario and its ratio to its baseline. */
export function report(
  { throughput, cpu, latency, cost, operations, refusals, floods }: Results,
  setting: Setting,
): void {
  const best = (name: Scenario) => Math.max(...throughput[name])
  const rate = (name: Scenario) => (throughput[name].length ? `${thousands(best(name))}/s` : '-')

  function cpuOf(name: Scenario): string {
    const least = Math.min(...cpu[name])
    return cpu[name].length === 0 ? '-' : duration(least)
  }

  function compared(what: string, name: Scenario, base: Scenario, aim?: Aim): Row {
    const known = throughput[name].length > 0 && throughput[base].length > 0
    const ratio = best(name) / best(base)
    const byCpu = Math.min(...cpu[base]) / Math.min(...cpu[name])
    const measured = aim?.by === 'cpu' ? byCpu : ratio
    return {
      what,
      measured: rate(name),
      cpu: cpuOf(name),
      ratio: known ? `${ratio.toFixed(2)} of ${base}` : '-',
      byCpu: known ? byCpu.toFixed(2) : '-',
      aim: aim ? `${aim.by === 'cpu' ? 'by CPU ' : ''}>= ${aim.ratio.toFixed(2)}` : '',
      verdict: known && aim ? verdict(measured >= aim.ratio) : '',
    }
  }
  function timed(what: string, name: 'bare' | 'me', aim?: number): Row {
    const p99 = Math.min(...latency[name].map((round) => round.p99))
    const p50 = Math.min(...latency[name].map((round) => round.p50))
    return {
      what,
      measured: latency[name].length ? `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms` : '-',
      cpu: '',
      ratio: '',
      byCpu: '',
      aim: aim ? `p99 < ${aim} ms` : '',
      verdict: latency[name].length && aim ? verdict(p99 < aim) : '',
    }
  }
  const { concurrency, pacedRate } = setting
  print([
    {
      what: 'bare Fastify route',
      measured: rate('bare'),
      cpu: cpuOf('bare'),
      ratio: '1',
      byCpu: '1',
      aim: '',
      verdict: '',
    },
    compared('GET /me, cached token', 'me-warm', 'bare', { ratio: 0.6, by: 'throughput' }),
    compared('GET /me, new token', 'me-cold', 'bare'),
    compared('POST /auth/refresh', 'refresh', 'bare', { ratio: 0.22, by: 'cpu' }),
    compared('the first after a sign-in', 'refresh-first', 'refresh', { ratio: 0.9, by: 'cpu' }),
    compared('after Redis was emptied', 'refresh-cold', 'refresh', { ratio: 0.5, by: 'throughput' }),
    {
      what: `raw argon2, ${concurrency} at once`,
      measured: rate('argon2'),
      cpu: cpuOf('argon2'),
      ratio: '1',
      byCpu: '1',
      aim: '',
      verdict: '',
    },
    compared(`POST /auth/login, ${concurrency} at once`, 'login', 'argon2', { ratio: 0.9, by: 'cpu' }),
    compared('client_credentials', 'oauth-client-credentials', 'bare', { ratio: 0.25, by: 'cpu' }),
    compared('the same with a proof (DPoP)', 'oauth-dpop', 'bare'),
    compared('introspection, known token', 'oauth-introspect', 'bare', { ratio: 0.4, by: 'cpu' }),
    compared('refresh of as many own sessions', 'oauth-own-refresh', 'refresh'),
    compared('refresh by a third party', 'oauth-refresh', 'oauth-own-refresh', { ratio: 0.83, by: 'cpu' }),
    timed(`bare route at ${pacedRate}/s beside argon2`, 'bare'),
    timed(`GET /me at ${pacedRate}/s beside logins`, 'me', 25),
  ])
  if (cost) console.log(`\n${costs(cost)}`)
  if (operations.length > 0) printTable(operationRows(operations))
  if (refusals.length > 0) printTable(refusalRows(refusals, cpuOf))
  if (floods.length > 0) console.log(`\n${floodReport(floods)}`)
}

const START_S = 0.8
const RSS_MB = 150
const IDLE_STATEMENTS = 2

/** Prints the fastest start, the memory of a median one, and the statements of an idle node. */
export function reportStart({ readyMs, cpuMs, rssMb, statementsPerSecond }: StartCost): void {
  const seconds = Math.min(...readyMs) / 1_000
  const memory = rssMb.toSorted((a, b) => a - b)[Math.floor(rssMb.length / 2)] ?? Number.NaN
  const row = (what: string, value: string, cpu: string, aim: string, met: boolean): Row => {
    return { what, measured: value, cpu, ratio: '', byCpu: '', aim: `<= ${aim}`, verdict: verdict(met) }
  }
  const cpu = `${Math.min(...cpuMs)} ms`
  const statements = `${statementsPerSecond.toFixed(1)}/s`
  print([
    row(
      'start, until /readyz answers 200',
      `${seconds.toFixed(2)} s`,
      cpu,
      `${START_S} s`,
      seconds <= START_S,
    ),
    row('resident memory 3 s later', `${memory.toFixed(0)} MB`, '', `${RSS_MB} MB`, memory <= RSS_MB),
    row(
      'Postgres statements, idle',
      statements,
      '',
      `${IDLE_STATEMENTS}/s`,
      statementsPerSecond <= IDLE_STATEMENTS,
    ),
  ])
}

const duration = (us: number) => (us < 1_000 ? `${us.toFixed(0)} us` : `${(us / 1_000).toFixed(1)} ms`)
const verdict = (met: boolean) => (met ? 'met' : 'MISSED')
const thousands = (value: number) => Math.round(value).toLocaleString('en')

const operationRows = (operations: readonly OperationCost[]) => [
  ['one call, one at a time', 'statements', 'WAL syncs', 'Redis round trips'],
  ...operations.map(({ name, statements, walSyncs, redisRoundTrips }) => [
    name,
    ...[statements, walSyncs, redisRoundTrips].map((count) => count.toFixed(1)),
  ]),
]

const refusalRows = (refusals: readonly RefusalCost[], cpuOf: (twin: Scenario) => string) => [
  ['refused', 'server CPU', 'its valid twin', ''],
  ...refusals.map(({ name, twin, cpu }) => [name, duration(cpu), cpuOf(twin), twin]),
]

function printTable(rows: readonly (readonly string[])[]): void {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0))
  console.log()
  for (const row of rows)
    console.log(
      row
        .map((cell, column) => cell.padEnd(width(column) + 2))
        .join('')
        .trimEnd(),
    )
}

function print(rows: readonly Row[]): void {
  const head = ['what', 'best round', 'server CPU', 'ratio', 'by CPU', 'aim', '']
  const columns = ['what', 'measured', 'cpu', 'ratio', 'byCpu', 'aim', 'verdict'] as const
  printTable([head, ...rows.map((row) => columns.map((name) => row[name]))])
}

function costs({ refreshes, roundTrips, commands, statements, flushes }: RefreshCost): string {
  const named = Object.entries(commands)
    // Leaves out the measurement's own INFO, which ran once for all refreshes.
    .filter(([, calls]) => calls >= 0.01)
    .map(([name, calls]) => `${name} ${Number(calls.toFixed(2))}`)
  return [
    `A warm refresh, over ${thousands(refreshes)} of them:`,
    `  Redis: ${roundTrips.toFixed(2)} round trips; commands: ${named.join(', ')}`,
    `  Postgres: ${flushes} batched writes for all of them together, and ${statements} other statements`,
  ].join('\n')
}
