import { evidence, type Journal, VIOLATIONS } from './journal.ts'
import { type Measures, percentile } from './measures.ts'
import type { Timeline } from './timeline.ts'

const EVIDENCE_PER_KIND = 5

/** Prints the results, and the evidence of violations to standard error. True without violations. */
export function report(journal: Journal, measures: Measures, timeline: Timeline): boolean {
  const { requests, tallies, thefts, counts, longestAccepted, longestWithout } = measures
  console.log(`\n${requests} requests, ${journal.sessions.length} sessions\n`)

  const faults = groupBy(timeline.all(), (fault) => fault.kind)
  const rows = [...tallies]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, tally]) => {
      const share = (part: number) => `${((100 * part) / tally.attempts).toFixed(1)} %`
      const times = [0.5, 0.99, 1].map((p) => percentile(tally.times, p).toFixed(0))
      const { attempts, ok, unavailable, unanswered } = tally
      const fault = faults.get(kind)?.length ?? ''
      return [kind, fault, attempts, share(ok), share(unavailable), share(unanswered), ...times]
    })
  const head = ['while', 'faults', 'refreshes', '200', '5xx', 'no answer', 'p50 ms', 'p99 ms', 'max ms']
  table([head, ...rows])

  console.log()
  table([
    [
      'longest time without a refresh while Postgres and all nodes were available',
      ms(longestWithout.ms),
      where(measures),
    ],
    ['longest time an access token was accepted after its session had ended', ms(longestAccepted)],
    ['thefts tried', thefts.tried],
    ['thefts detected', thefts.detected],
    ...[...thefts.late].sort().map(([when, count]) => [`  ${when}`, count]),
    ...[...counts].sort().map(([what, count]) => [what, count]),
  ])

  console.log('\nmust be 0')
  const found = groupBy(journal.violations, (violation) => violation.kind)
  table(VIOLATIONS.map((kind) => [`  ${kind}`, found.get(kind)?.length ?? 0]))
  for (const violations of found.values()) {
    for (const violation of violations.slice(0, EVIDENCE_PER_KIND)) {
      console.error(`\n${evidence(violation, timeline)}`)
    }
    const more = violations.length - EVIDENCE_PER_KIND
    if (more > 0) console.error(`\n... and ${more} more: ${violations[0]?.kind}`)
  }
  return journal.violations.length === 0
}

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return groups
}

const ms = (value: number) => `${value.toFixed(0)} ms`
const where = ({ longestWithout: { client, at } }: Measures) =>
  client ? `${client}, ${ms(at)} into the run` : ''

function table(rows: readonly (readonly (string | number)[])[]): void {
  const widths: number[] = []
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, String(cell).length)
  }
  for (const row of rows) {
    const cells = row.map((cell, at) =>
      at === 0 ? String(cell).padEnd(widths[at] ?? 0) : String(cell).padStart(widths[at] ?? 0),
    )
    console.log(cells.join('  ').trimEnd())
  }
}
