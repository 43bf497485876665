import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { finished } from 'node:stream/promises'

/** What happened to a line. */
export type LineOutcome = 'imported' | 'overwritten' | 'unchanged' | 'differs' | 'refused'

/** Counts what happened, and writes each line that was not imported, with its reason. */
export interface ImportReport {
  add(line: number, outcome: LineOutcome, reason?: string): Promise<void>
  readonly counts: Readonly<Record<LineOutcome, number>>
  close(): Promise<void>
}

/** @param file where to write JSON lines; without it, text goes to standard error. */
export async function openReport(file: string | undefined): Promise<ImportReport> {
  const counts = { imported: 0, overwritten: 0, unchanged: 0, differs: 0, refused: 0 }
  const output = file === undefined ? undefined : (await open(file, 'w', 0o600)).createWriteStream()
  // Rejects only where it is awaited.
  const ended = output ? finished(output) : Promise.resolve()
  ended.catch(() => {})

  return {
    counts,
    async add(line, outcome, reason) {
      counts[outcome] += 1
      if (reason === undefined) return
      if (!output) return console.error(`line ${line} ${outcome}: ${reason}`)
      const isFull = !output.write(`${JSON.stringify({ line, outcome, reason })}\n`)
      if (isFull) await Promise.race([once(output, 'drain'), ended])
    },
    async close() {
      output?.end()
      await ended
    },
  }
}
