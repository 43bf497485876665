import { spawnSync } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** Lines of `postmaster.pid`: the process id comes first, its state eighth; gone while it is rewritten. */
async function readLock(data: string): Promise<string[]> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')
  return text.split('\n').map((line) => line.trim())
}

/**
 * After a crash the id in the lock may belong to some other program by now, and Postgres, which only asks
 * whether it is alive, would refuse to start for good. Removes such a lock and says whether it did.
 */
export async function clearForeignLock(data: string): Promise<boolean> {
  const [pid = ''] = await readLock(data)
  const name = /^\d+$/.test(pid) ? await programName(pid) : undefined
  // Unknown is not foreign: two servers on one folder would be worse than none.
  if (name === undefined || name === '' || /postgres|initdb/.test(name)) return false
  await rm(join(data, 'postmaster.pid'), { force: true })
  return true
}

/** True while the owner of the lock is on its way out, or has just gone. */
export async function isStopping(data: string): Promise<boolean> {
  const lines = await readLock(data)
  return lines[0] === '' || lines[7] === 'stopping'
}

async function programName(pid: string): Promise<string | undefined> {
  try {
    return (await readFile(`/proc/${pid}/comm`, 'utf8')).trim()
  } catch {
    const { stdout, status } = spawnSync('ps', ['-o', 'comm=', '-p', pid], { encoding: 'utf8' })
    return status === 0 ? stdout.trim() : undefined
  }
}
