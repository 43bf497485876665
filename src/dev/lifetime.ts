import { readFileSync } from 'node:fs'

const PARENT_CHECK_INTERVAL = 500
const CLOSE_TIMEOUT = 15_000

/** What has to be closed, in reverse order, when the process is asked to end. */
export interface Lifetime {
  onEnd(close: () => Promise<unknown>): void
  end(code: number): Promise<never>
}

/**
 * Ends the process in order on SIGINT, SIGTERM and SIGHUP and, with `followParent`, when its parent is gone:
 * a killed npm passes nothing on.
 */
export function createLifetime(options: { followParent: boolean }): Lifetime {
  const closers: (() => Promise<unknown>)[] = []
  let revocation: Promise<never> | undefined

  async function closeAll(code: number): Promise<never> {
    setTimeout(() => process.exit(1), CLOSE_TIMEOUT).unref()
    let exitCode = code
    for (const close of closers.reverse()) {
      try {
        await close()
      } catch (error) {
        console.error(error)
        exitCode = 1
      }
    }
    process.exit(exitCode)
  }

  // Repeats are ignored: on Ctrl-C the terminal sends one signal and npm forwards another.
  function end(code: number): Promise<never> {
    revocation ??= closeAll(code)
    return revocation
  }

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(0))
  // Whoever read our output may be gone before us.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  if (options.followParent) {
    const parents = parentage()
    setInterval(() => {
      if (parentage() !== parents) void end(0)
    }, PARENT_CHECK_INTERVAL).unref()
  }
  return { onEnd: (close) => void closers.push(close), end }
}

/** The ids of this process's parent and, where that is but a shell npm has put in between, of the shell's. */
function parentage(): string {
  const { ppid } = process
  try {
    const [, name = '', fields = ''] = /\((.*)\) (.*)/.exec(readFileSync(`/proc/${ppid}/stat`, 'utf8')) ?? []
    return /^(ba|da|a)?sh$/.test(name) ? `${ppid} ${fields.split(' ')[1]}` : `${ppid}`
  } catch {
    // No /proc: the shells of such systems replace themselves by the command.
    return `${ppid}`
  }
}
