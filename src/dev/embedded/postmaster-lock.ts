import { spawnSync } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** The lines of `postmaster.pid`: the first is the process id, the eighth the state. Empty while it is rewritten. */
async function readLock(data: string): Promise<string[]> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')
  return text.split('\n').map((line) => line.trim())
}

/**
 * Removes the lock of a crashed server whose process id now belongs to another program, and returns whether it did.
 * Postgres only checks whether the process is alive, so it would never start again.
 */
export async function clearForeignLock(data: string): Promise<boolean> {
  const [pid = ''] = await readLock(data)
  const name = /^\d+$/.test(pid) ? await programName(pid) : undefined
  // An unknown program may be Postgres, and two servers on one folder would be worse than none.
  if (name === undefined || name === '' || /postgres|initdb/.test(name)) return false
  await rm(join(data, 'postmaster.pid'), { force: true })
  return true
}

/** True while the owner of the lock is stopping, or has just stopped. */
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
