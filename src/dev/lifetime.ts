import { readFileSync } from 'node:fs'
import { surviveClosedOutput } from '../platform/log-sink.ts'

const PARENT_CHECK_INTERVAL = 500
const CLOSE_TIMEOUT = 15_000

/** Closes what was opened, in reverse order, when the process is asked to end. */
export interface Lifetime {
  onEnd(close: () => Promise<unknown>): void
  end(code: number): Promise<never>
}

/**
 * Ends the process in order on SIGINT, SIGTERM and SIGHUP and, with `followParent`, when its parent has ended, because
 * a killed npm forwards no signal.
 */
export function createLifetime(options: { followParent: boolean }): Lifetime {
  const closers: (() => Promise<unknown>)[] = []
  let closing: Promise<never> | undefined

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
    closing ??= closeAll(code)
    return closing
  }

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(0))
  surviveClosedOutput()
  if (options.followParent) {
    const parents = parentage()
    setInterval(() => {
      if (parentage() !== parents) void end(0)
    }, PARENT_CHECK_INTERVAL).unref()
  }
  return { onEnd: (close) => void closers.push(close), end }
}

/** The id of this process's parent and, if that is a shell started by npm, also the id of the shell's parent. */
function parentage(): string {
  const { ppid } = process
  try {
    const [, name = '', fields = ''] = /\((.*)\) (.*)/.exec(readFileSync(`/proc/${ppid}/stat`, 'utf8')) ?? []
    return /^(ba|da|a)?sh$/.test(name) ? `${ppid} ${fields.split(' ')[1]}` : `${ppid}`
  } catch {
    // Without /proc: on such systems the shell replaces itself with the command.
    return `${ppid}`
  }
}
