import { CALLERS, type Caller, FLOOD_ADDRESSES, type FloodRound, type Honest } from './flood.ts'
import { percentile } from './load.ts'

const AIM = 10

/** What honest sign-ins took without and with a flood, and how the flood was answered. */
export function floodReport(rounds: readonly FloodRound[]): string {
  const seconds = rounds.reduce((sum, round) => sum + round.seconds, 0)
  const rate = (status: number) =>
    (rounds.reduce((sum, { answers }) => sum + (answers[status] ?? 0), 0) / seconds).toFixed(0)

  function line(what: string, caller: Caller): string {
    const quiet = summarize(rounds.map((round) => round.quiet[caller]))
    const flood = summarize(rounds.map((round) => round.flood[caller]))
    const ratio = Number.isNaN(flood.p99) ? '' : `; p99 is ${(flood.p99 / quiet.p99).toFixed(1)} x quiet`
    return [
      `  ${what}, ${CALLERS[caller]}/s`,
      `    quiet: ${describe(quiet)}`,
      `    flood: ${describe(flood)}${ratio}`,
    ].join('\n')
  }
  const quiet = summarize(rounds.map((round) => round.quiet.strangers))
  const flood = summarize(rounds.map((round) => round.flood.strangers))
  const isMet = flood.refused === 0 && flood.p99 <= AIM * quiet.p99
  return [
    `Honest sign-ins, and a flood of wrong ones from ${FLOOD_ADDRESSES} addresses:`,
    line('each from an address of its own', 'strangers'),
    `    aim: none refused, p99 <= ${AIM} x quiet: ${isMet ? 'met' : 'MISSED'}`,
    line('all from one address', 'neighbours'),
    `  the flood was answered: 401 ${rate(401)}/s, 503 ${rate(503)}/s, 429 ${rate(429)}/s`,
  ].join('\n')
}

/** All rounds together: one round has too few sign-ins for a p99. */
function summarize(rounds: readonly Honest[]) {
  const latencies = rounds.flatMap((round) => round.latencies)
  const refused = rounds.reduce((sum, round) => sum + round.refused, 0)
  return {
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    refused,
    total: latencies.length + refused,
  }
}

function describe({ p50, p99, refused, total }: ReturnType<typeof summarize>): string {
  const times = total > refused ? `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, ` : ''
  return `${times}${refused} of ${total} refused`
}
