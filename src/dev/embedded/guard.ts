import { type ChildProcess, spawn } from 'node:child_process'
import type { Writable } from 'node:stream'

// The shell reads from a pipe whose other end only this process holds. However this process ends, even by SIGKILL, the
// pipe closes and the shell stops the server. INT is the fast shutdown of Postgres and Redis.
const SCRIPT = `
"$@" </dev/null 3<&- &
server=$!
trap 'kill -INT $server 2>/dev/null' HUP INT TERM
(read -r _ <&3; kill -INT $server) 2>/dev/null &
watcher=$!
wait $server
code=$?
while kill -0 $server 2>/dev/null; do wait $server; code=$?; done
kill $watcher 2>/dev/null
exit $code
`

export interface GuardOptions {
  /** The account to run under; needs root. */
  uid?: number
  gid?: number
  /** An open file that receives the command's output. */
  output?: number
}

/** A command that cannot outlive this process. */
export interface Guarded {
  /** Resolves with the exit code once the command has ended, for any reason. */
  readonly ended: Promise<number>
  readonly running: boolean
  stop(): Promise<void>
}

export function spawnGuarded(command: readonly string[], options: GuardOptions = {}): Guarded {
  const { output = 'ignore', ...account } = options
  const child: ChildProcess = spawn('sh', ['-c', SCRIPT, 'guard', ...command], {
    ...account,
    cwd: '/',
    // A separate process group: Ctrl-C then reaches only this process, which shuts down in order.
    detached: true,
    stdio: ['ignore', output, output, 'pipe'],
  })
  const lifeline = child.stdio[3] as Writable
  lifeline.on('error', () => {})
  let running = true
  const ended = new Promise<number>((resolve) => {
    const end = (code: number | null) => {
      running = false
      resolve(code ?? 1)
    }
    child.once('exit', end)
    child.once('error', () => end(127))
  })
  return {
    ended,
    get running() {
      return running
    },
    async stop() {
      lifeline.end()
      await ended
    },
  }
}
