import type { Readable } from 'node:stream'

/** A line of a file: its number from 1, and its text, or why it cannot be read. */
export interface Line {
  number: number
  text?: string
  fault?: string
}

/** Longer than any account can be. The rest of a longer line is skipped, so that it takes no memory. */
const MAX_BYTES = 262_144
const NEWLINE = 0x0a

/** The lines of a file, without those that are empty, in bounded memory. */
export async function* readLines(input: Readable): AsyncGenerator<Line> {
  let parts: Buffer[] = []
  let length = 0
  let number = 0

  function take(): Line | null {
    number += 1
    const [bytes, isTooLong] = [Buffer.concat(parts), length > MAX_BYTES]
    parts = []
    length = 0
    if (isTooLong) return { number, fault: `has more than ${MAX_BYTES / 1024} KiB` }
    const text = decode(bytes)
    if (text === null) return { number, fault: 'is not UTF-8' }
    return /^\s*$/.test(text) ? null : { number, text }
  }

  for await (const chunk of input as AsyncIterable<Buffer>) {
    for (let from = 0; from < chunk.length; ) {
      const end = chunk.indexOf(NEWLINE, from)
      const part = chunk.subarray(from, end < 0 ? chunk.length : end)
      length += part.length
      if (length <= MAX_BYTES) parts.push(part)
      if (end < 0) break
      from = end + 1
      const line = take()
      if (line) yield line
    }
  }
  const last = length > 0 ? take() : null
  if (last) yield last
}

// It skips a byte order mark at the beginning.
const utf8 = new TextDecoder('utf-8', { fatal: true })

function decode(bytes: Buffer): string | null {
  try {
    return utf8.decode(bytes)
  } catch {
    return null
  }
}
