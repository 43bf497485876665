import type { RefreshCost } from './cost.ts'
import type { Results, Scenario } from './scenarios.ts'
import type { StartCost } from './start.ts'

interface Setting {
  concurrency: number
  pacedRate: number
}

interface Row {
  what: string
  measured: string
  cpu: string
  ratio: string
  aim: string
  verdict: string
}

/** Prints the best round of each scenario and its ratio to its baseline. */
export function report({ throughput, cpu, latency, cost }: Results, setting: Setting): void {
  const best = (name: Scenario) => Math.max(...throughput[name])
  const rate = (name: Scenario) => (throughput[name].length ? `${thousands(best(name))}/s` : '-')

  function cpuOf(name: Scenario): string {
    const least = Math.min(...cpu[name])
    if (cpu[name].length === 0) return '-'
    return least < 1_000 ? `${least.toFixed(0)} us` : `${(least / 1_000).toFixed(1)} ms`
  }

  function compared(what: string, name: Scenario, base: Scenario, aim?: number): Row {
    const ratio = best(name) / best(base)
    const known = throughput[name].length > 0 && throughput[base].length > 0
    return {
      what,
      measured: rate(name),
      cpu: cpuOf(name),
      ratio: known ? `${ratio.toFixed(2)} of ${base}` : '-',
      aim: aim ? `>= ${aim.toFixed(2)}` : '',
      verdict: known && aim ? verdict(ratio >= aim) : '',
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
      aim: '',
      verdict: '',
    },
    compared('GET /me, cached token', 'me-warm', 'bare', 0.6),
    compared('GET /me, new token', 'me-cold', 'bare'),
    compared('POST /auth/refresh', 'refresh', 'bare', 0.25),
    {
      what: `raw argon2, ${concurrency} at once`,
      measured: rate('argon2'),
      cpu: cpuOf('argon2'),
      ratio: '1',
      aim: '',
      verdict: '',
    },
    compared(`POST /auth/login, ${concurrency} at once`, 'login', 'argon2', 0.9),
    timed(`bare route at ${pacedRate}/s beside argon2`, 'bare'),
    timed(`GET /me at ${pacedRate}/s beside logins`, 'me', 25),
  ])
  if (cost) console.log(`\n${costs(cost)}`)
}

const START_S = 0.8
const RSS_MB = 150
const IDLE_STATEMENTS = 2

/** Prints the fastest start, the memory of a median one, and the statements of an idle node. */
export function reportStart({ readyMs, cpuMs, rssMb, statementsPerSecond }: StartCost): void {
  const seconds = Math.min(...readyMs) / 1_000
  const memory = rssMb.toSorted((a, b) => a - b)[Math.floor(rssMb.length / 2)] ?? Number.NaN
  const row = (what: string, value: string, cpu: string, aim: string, met: boolean): Row => {
    return { what, measured: value, cpu, ratio: '', aim: `<= ${aim}`, verdict: verdict(met) }
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

const verdict = (met: boolean) => (met ? 'met' : 'MISSED')
const thousands = (value: number) => Math.round(value).toLocaleString('en')

function print(rows: readonly Row[]): void {
  const head: Row = {
    what: 'what',
    measured: 'best round',
    cpu: 'server CPU',
    ratio: 'ratio',
    aim: 'aim',
    verdict: '',
  }
  const columns = ['what', 'measured', 'cpu', 'ratio', 'aim', 'verdict'] as const
  const width = (name: keyof Row) => Math.max(...[head, ...rows].map((row) => row[name].length))
  console.log()
  for (const row of [head, ...rows]) {
    console.log(
      columns
        .map((name) => row[name].padEnd(width(name) + 2))
        .join('')
        .trimEnd(),
    )
  }
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
