import type { Deletion } from './deletion.ts'
import type { Cost } from './measure.ts'
import type { Proof } from './proof.ts'
import type { Size } from './size.ts'
import type { Storage, Updates } from './storage.ts'

/** How much more an operation may cost on the largest size than on the smallest. */
const MAX_GROWTH = 1.3
const MAX_P99_GROWTH = 2
const MIN_HOT = 0.95
// Below this a factor says more about the clock than about the statement.
const NOTICEABLE_MS = 0.05
const TEXT_CHARS = 160

type Costs = ReadonlyMap<string, Cost>

/** One line per operation: on each size the latency, Postgres's time and the pages it read, and the growth. */
export function reportCosts(sizes: readonly Size[], costs: readonly Costs[], idle: readonly Costs[]): void {
  const head = ['one request', ...sizes.map(({ name }) => name), 'growth', 'Postgres', '']
  console.log('\nMilliseconds to the answer / of them in Postgres / pages of 8 kB that Postgres read')
  print([head, ...rowsOf(costs, 'ms')])
  console.log('\nWithout requests, each run of a statement: milliseconds in Postgres / pages')
  print([['statement', ...sizes.map(({ name }) => name), 'growth', '', ''], ...rowsOf(idle, 'postgresMs')])
}

function rowsOf(costs: readonly Costs[], by: 'ms' | 'postgresMs'): string[][] {
  const names = [...new Set(costs.flatMap((of) => [...of.keys()]))]
  return names.map((name) => {
    const all = costs.map((of) => of.get(name))
    const growth = growthOf(all, by)
    const met = growth !== undefined && growth <= MAX_GROWTH
    return [
      name.length > 70 ? `${name.slice(0, 69)}…` : name,
      ...all.map((cost) => (cost ? figures(cost, by) : '-')),
      factor(growth),
      by === 'ms' ? factor(growthOf(all, 'postgresMs')) : '',
      all.length < 2 || growth === undefined ? '' : met ? 'met' : 'MISSED',
    ]
  })
}

function growthOf(all: readonly (Cost | undefined)[], by: 'ms' | 'postgresMs'): number | undefined {
  const [first, last] = [all[0], all.at(-1)]
  if (!first || !last) return undefined
  return Math.max(last[by], NOTICEABLE_MS) / Math.max(first[by], NOTICEABLE_MS)
}

const factor = (growth: number | undefined) => (growth === undefined ? '-' : `x ${growth.toFixed(2)}`)

const figures = ({ ms, postgresMs, blocks }: Cost, by: 'ms' | 'postgresMs') =>
  by === 'ms'
    ? `${ms.toFixed(2)} / ${postgresMs.toFixed(2)} / ${blocks.toFixed(0)}`
    : `${postgresMs.toFixed(2)} / ${blocks.toFixed(0)}`

/** What a row takes, and whether the rows of sessions are updated in place. */
export function reportStorage(size: Size, { updates, hot, ...written }: Updates, storage: Storage): void {
  console.log(`\nBytes per row at ${size.name} sessions`)
  print([
    ['table', 'rows', 'table', 'indexes'],
    ...storage.tables.map(({ table, rows, bytes, indexBytes }) => [
      table,
      Math.round(rows).toLocaleString('en'),
      bytes.toFixed(0),
      indexBytes.toFixed(0),
    ]),
  ])
  const { family, tombstone } = storage
  const ofTombstone = Number.isNaN(tombstone) ? '' : `, a tombstone ${tombstone.toFixed(0)}`
  console.log(`Redis, bytes: a family ${family.toFixed(0)}${ofTombstone}`)
  const { ms, blocks, walBytes, redisUs } = written
  console.log(`A rotation in Redis: ${redisUs.toFixed(0)} us`)
  console.log(
    `A rotation written to the ledger: ${(ms * 1000).toFixed(0)} us of Postgres, ${blocks.toFixed(1)} pages, ` +
      `${walBytes.toFixed(0)} bytes of write-ahead log`,
  )
  const share = updates === 0 ? 0 : hot / updates
  console.log(
    `HOT: ${hot} of ${updates} updates of sessions, ${percent(share)}: ${verdict(share >= MIN_HOT)}`,
  )
}

export function reportDeletion({ deleted, seconds, quiet, beside }: Deletion): void {
  const growth = beside.p99 / quiet.p99
  console.log(`\nRetention deleted ${deleted.toLocaleString('en')} rows in ${seconds.toFixed(0)} s`)
  const show = ({ p50, p99 }: Deletion['quiet']) => `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`
  console.log(
    `Refreshes at a steady pace: alone ${show(quiet)}; beside it ${show(beside)}, ` +
      `${factor(growth)}: ${verdict(growth <= MAX_P99_GROWTH)}`,
  )
}

export function reportProof({ calls, missing, tables, heaviest, suspects }: Proof): void {
  const scanned = tables.filter(({ scans }) => scans > 0)
  console.log(`\nSequential scans during ${calls} calls of every route, every loop and every command`)
  if (missing.length > 0) console.log(`not called: ${missing.join(', ')}`)
  print([
    ['table', 'rows', 'scans'],
    ...tables.map(({ table, rows, scans }) => [table, Math.round(rows).toLocaleString('en'), `${scans}`]),
  ])
  console.log(`None on a large table: ${verdict(scanned.length === 0)}`)
  console.log('Most pages in one call:')
  for (const { blocks, calls, text } of heaviest) {
    console.log(`  ${(blocks / calls).toFixed(0).padStart(6)}  ${text.slice(0, TEXT_CHARS)}`)
  }
  for (const { table, statement } of suspects) {
    if (scanned.some((scan) => scan.table === table)) {
      console.log(
        `  ${table}, ${statement.calls} calls, ${statement.ms.toFixed(0)} ms: ${statement.text.slice(0, TEXT_CHARS)}`,
      )
    }
  }
}

const verdict = (met: boolean) => (met ? 'met' : 'MISSED')
const percent = (share: number) => `${(share * 100).toFixed(1)} %`

function print(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of rows)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
}
