import { OPERATIONS, type Row } from './rows.ts'

export interface Measurement {
  /** Answers. */
  perSecond: number
  /** Microseconds of CPU time of the server's process per answer. */
  serverCpu: number
  /** CPU time of the load generator, as a share of one core. */
  loadCpu: number
}

/** Prints a line for each operation of each server, with its best round. */
export function report(measured: ReadonlyMap<Row, readonly Measurement[]>): void {
  const lines = [['operation', 'server', 'what', 'best round', 'to Ratchet', 'server CPU', 'load generator']]
  for (const operation of OPERATIONS) {
    const rows = [...measured].filter(([row]) => row.operation === operation)
    const best = (rounds: readonly Measurement[]) => Math.max(...rounds.map(({ perSecond }) => perSecond))
    const ratchet = rows.find(([row]) => row.server === 'Ratchet')?.[1] ?? []
    for (const [row, rounds] of rows) {
      const fastest = rounds.find(({ perSecond }) => perSecond === best(rounds)) as Measurement
      lines.push([
        operation,
        row.server,
        row.detail,
        `${Math.round(fastest.perSecond).toLocaleString('en')}/s`,
        (fastest.perSecond / best(ratchet)).toFixed(2),
        time(Math.min(...rounds.map(({ serverCpu }) => serverCpu))),
        `${Math.round(fastest.loadCpu * 100)} %`,
      ])
    }
  }
  const widths =
    lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? []
  console.log()
  for (const line of lines) {
    console.log(
      line
        .map((cell, column) => cell.padEnd((widths[column] ?? 0) + 2))
        .join('')
        .trimEnd(),
    )
  }
}

const time = (microseconds: number) =>
  microseconds < 1_000 ? `${microseconds.toFixed(0)} us` : `${(microseconds / 1_000).toFixed(1)} ms`
