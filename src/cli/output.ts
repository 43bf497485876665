import { surviveClosedOutput } from '../platform/log-sink.ts'

let failure: NodeJS.ErrnoException | undefined

/** Lets a command finish when nobody reads its output any more, as after `| head`, and not stop halfway. */
export function outliveReader(): void {
  surviveClosedOutput((error) => {
    failure ??= error
  })
}

/** Whether output still arrives somewhere: a command that only lists may stop when it does not. */
export const isRead = (): boolean => failure === undefined

/** @throws what writing failed with, unless the reader had left. */
export async function requireWritten(): Promise<void> {
  // The errors of streams are reported a moment after the write.
  await new Promise(setImmediate)
  if (failure && failure.code !== 'EPIPE') {
    throw new Error(`the output could not be written: ${failure.message}`, { cause: failure })
  }
}

/** Prints a list, one row a line: as JSON, or as text. `none` goes to standard error. */
export function printList<Row extends object>(
  rows: readonly Row[],
  json: boolean,
  asText: (row: Row) => string,
): void {
  if (rows.length === 0) console.error('none')
  for (const row of rows) {
    if (!isRead()) return
    console.log(json ? JSON.stringify(row) : asText(row))
  }
}

// All of category C but joiners and the tags of flags, which names may have.
const CONTROLS = /(?!\u200c|\u200d|[\u{e0020}-\u{e007f}])\p{C}/gu

/** Joins cells without control characters: text that users entered must not control the terminal. */
export const line = (cells: readonly unknown[]): string =>
  cells
    .filter((cell) => cell !== null && cell !== undefined && cell !== '')
    .map((cell) => String(cell).replace(CONTROLS, '\ufffd'))
    .join('  ')
    .trimEnd()
