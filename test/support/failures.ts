import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

// Of a process of its own, or in a group.
const FILE = /^(?: {4})?# Subtest: (\S+\.ts)$/
const FAILED = /^\s*not ok (?!.*# (SKIP|TODO))/i

/** Passes on what tap prints, and then repeats what failed: a log of CI shows its end, not its 50,000 lines. */
export async function repeatFailures(printed: Readable, to: Writable): Promise<void> {
  const failures: string[] = []
  let file = ''
  let mayDescribe = false
  let describes = false
  for await (const line of createInterface({ input: printed, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (!to.write(`${line}\n`)) await once(to, 'drain')
    file = FILE.exec(line)?.[1] ?? file
    describes ||= mayDescribe && line.trim() === '---'
    mayDescribe = FAILED.test(line)
    if (mayDescribe) failures.push(`# ${file}`, line)
    else if (describes) failures.push(line)
    if (line.trim() === '...') describes = false
  }
  if (failures.length > 0) to.write(`\n# What failed:\n${failures.join('\n')}\n`)
}
