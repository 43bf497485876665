import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'

export type Environment = Record<string, string>

/** What a deployment runs: the server and the command line. */
export interface Program {
  name: string
  /** Starts the server in the foreground. `folder` is an empty one for its use. */
  serve(env: Environment, folder: string): Promise<ChildProcess>
  /** The id of the server's process on this machine. */
  pid(server: ChildProcess): number | undefined
  /** Ends the server by force. */
  kill(server: ChildProcess): void
  /** Runs `ratchet <args>` to its end. @returns standard output. @throws if the exit code is not 0. */
  ratchet(args: readonly string[], env: Environment): string
  /** Runs the health check that comes with it, if any. @throws if it fails. */
  checkHealth(): void
}

/** A folder with `dist/` and `node_modules/`, run by a Node. */
export const inFolder = (folder: string, node: string): Program => ({
  name: `dist/ on Node ${execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()}`,
  async serve(env, data) {
    assert.ok(!existsSync(join(folder, 'dist/dev')), 'dist/ contains the development server')
    // As init systems may start it: through a link, whose name has no extension.
    const link = join(data, 'ratchet')
    await symlink(join(folder, 'dist/server.js'), link)
    return spawn(node, ['--max-semi-space-size=32', link], {
      cwd: folder,
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    })
  },
  pid: (server) => server.pid,
  kill: (server) => server.kill('SIGKILL'),
  ratchet: (args, env) =>
    execFileSync(node, [join(folder, 'dist/cli/main.js'), ...args], {
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  checkHealth() {},
})
