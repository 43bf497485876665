import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import type { Environment, Program } from './program.ts'

/**
 * As an administrator who trusts nobody runs a container: no path can be written to, not even /tmp, and there are no
 * capabilities. The network is this machine's, where the stores are. Limits are set because the defaults may be above
 * what this process may set, and groups of processes are often not there in a build.
 */
const STRICT = [
  '--rm',
  '--network=host',
  '--cgroups=disabled',
  '--ulimit=nofile=1024:1024',
  '--ulimit=nproc=4096:4096',
  '--read-only',
  '--read-only-tmpfs=false',
  '--cap-drop=all',
  '--security-opt=no-new-privileges',
  // Podman has systemd run it again and again; here it is run once.
  '--no-healthcheck',
]

/** An image, run by Podman. */
export function inContainer(image: string): Program {
  const name = `ratchet-${randomUUID()}`
  const podman = (args: readonly string[], env: Environment = {}) =>
    execFileSync('podman', args, {
      env: { ...process.env, ...env },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  // Names only: values would be visible to every user of the machine.
  const run = (env: Environment) => ['run', ...STRICT, ...Object.keys(env).map((key) => `--env=${key}`)]
  return {
    name: `${image} in a container`,
    serve: async (env) =>
      spawn('podman', [...run(env), `--name=${name}`, image], {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'inherit', 'inherit'],
      }),
    pid: () => Number(podman(['inspect', '--format={{.State.Pid}}', name])),
    // Podman passes every signal on but this one.
    kill: () => podman(['kill', '--signal=KILL', name]),
    ratchet: (args, env) => podman([...run(env), image, 'ratchet', ...args], env),
    checkHealth() {
      const [details] = JSON.parse(podman(['image', 'inspect', image]))
      const [kind, ...command] = details.Healthcheck.Test
      assert.equal(kind, 'CMD')
      podman(['exec', name, ...command])
    },
  }
}
