import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Tab } from './driver.ts'

// Of the kernel's clock, 100 a second. No other process of an idle browser uses as much more than the one that is busy.
const CLEARLY_TICKS = 100

interface Process {
  id: number
  parent: number
  command: string
  /** Of the processor. */
  ticks: number
}

async function processes(): Promise<Process[]> {
  const ids = (await readdir('/proc')).map(Number).filter(Number.isInteger)
  const all = await Promise.all(
    ids.map(async (id) => {
      const read = (name: string) => readFile(`/proc/${id}/${name}`, 'utf8').catch(() => '')
      const [stat, command] = await Promise.all([read('stat'), read('cmdline')])
      // The name of the process, in parentheses, may contain anything.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return { id, parent: Number(fields[1]), command, ticks: Number(fields[11]) + Number(fields[12]) }
    }),
  )
  return all.filter(({ parent }) => Number.isInteger(parent))
}

async function descendants(ancestor: number, isMeant: (command: string) => boolean): Promise<Process[]> {
  const all = await processes()
  const found = new Set([ancestor])
  for (let size = 0; size < found.size; ) {
    size = found.size
    for (const { id, parent } of all) if (found.has(parent)) found.add(id)
  }
  return all.filter(({ id, command }) => found.has(id) && isMeant(command))
}

/**
 * Kills the process that runs the scripts of this tab: of those that this process has started, and that `isContent` says
 * do such work, the one that becomes busy when the tab is.
 * @param other another tab of the same origin: it says when, because nobody may wait for a tab that is killed.
 */
export async function killProcessOf(
  tab: Tab,
  other: Tab,
  isContent: (command: string) => boolean,
): Promise<void> {
  await tab.evaluate(() => {
    new BroadcastChannel('hang').onmessage = () => {
      for (;;);
    }
  })
  const before = new Map((await descendants(process.pid, isContent)).map(({ id, ticks }) => [id, ticks]))
  await other.evaluate(() => {
    const channel = new BroadcastChannel('hang')
    channel.postMessage('')
    channel.close()
  })
  for (;;) {
    const now = await descendants(process.pid, isContent)
    const [first, second] = now
      .map(({ id, ticks }) => ({ id, used: ticks - (before.get(id) ?? 0) }))
      .sort((a, b) => b.used - a.used)
    if (first && first.used - (second?.used ?? 0) > CLEARLY_TICKS) {
      process.kill(first.id, 'SIGKILL')
      return
    }
    await sleep(20)
  }
}
