import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Where each part of the demo is. */
export const URLS = {
  server: 'http://localhost:8080',
  api: 'http://localhost:8081',
  spa: 'http://localhost:5173',
  // By another name than the rest: browsers keep cookies by host, and this app has its own.
  next: 'http://127.0.0.1:3000',
}
export type Part = keyof typeof URLS

const COMMANDS: Record<Part, string[]> = {
  server: ['--import', import.meta.resolve('tsx'), `${ROOT}src/dev/main.ts`],
  api: ['server.js'],
  spa: ['node_modules/vite/bin/vite.js'],
  next: ['node_modules/next/dist/bin/next', 'dev', '--hostname', '127.0.0.1', '--port', '3000'],
}

export interface Parts {
  /** Resolves once all of them answer, and with false if one has ended before. */
  ready: Promise<boolean>
  stop(): void
}

/** Starts parts of the demo. Without one of them the others end, too. `dataFolder` is where the server keeps `.data`. */
export function startParts(names: readonly Part[], dataFolder = ROOT): Parts {
  // The Next app calls the server for the people at its pages, and says from where. A `PORT` would be that of all parts.
  const env = { TRUST_PROXY: 'loopback', NEXT_TELEMETRY_DISABLED: '1', ...process.env, PORT: undefined }
  const children = names.map((name): ChildProcess => {
    const cwd = name === 'server' ? dataFolder : `${ROOT}examples/${name}`
    return spawn(process.execPath, COMMANDS[name], { cwd, env, stdio: 'inherit' })
  })
  const ending = new AbortController()
  const { signal } = ending
  function stop(): void {
    ending.abort()
    for (const child of children) child.kill('SIGTERM')
  }
  children.forEach((child, index) => {
    child.on('exit', (code) => {
      const name = names[index] as Part
      // Without a code it was stopped, as by Ctrl-C.
      if (code && !signal.aborted) {
        console.error(
          `${name} has ended with ${code}: is ${URLS[name]} in use? Nothing else may listen there.`,
        )
        process.exitCode = 1
      }
      stop()
    })
  })

  async function answer(): Promise<boolean> {
    for (const name of names) {
      // What listens there instead may never answer.
      while (!signal.aborted && !(await fetch(URLS[name], { signal }).catch(() => undefined)))
        await sleep(100)
    }
    return !signal.aborted
  }
  return { ready: answer(), stop }
}
