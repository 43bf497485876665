import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

/** The folder of an example. */
export const folderOf = (name: string) => fileURLToPath(new URL(`../../examples/${name}`, import.meta.url))

/** The environment of what an example runs, without the loaders of the tests. */
export const environment = (env: Record<string, string> = {}) => ({
  ...process.env,
  NODE_OPTIONS: '',
  ...env,
})

export interface ApiOptions {
  /** `PUBLIC_URL` of the server. */
  issuer: string
  /** Where its keys are. */
  server: string
  /** Of the pages that may call it. */
  origin: string
}

/** Starts the example API. @returns its origin. */
export async function startApi(
  t: Pick<Test, 'teardown'>,
  { issuer, server, origin }: ApiOptions,
): Promise<string> {
  const api = spawn(process.execPath, ['server.js'], {
    cwd: folderOf('api'),
    env: environment({ AUTH_URL: issuer, JWKS_ORIGIN: server, APP_ORIGIN: origin, PORT: '0' }),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => api.kill())
  const [line] = await once(createInterface({ input: api.stdout }), 'line')
  return new URL(String(line).replace('API: ', '')).origin
}
