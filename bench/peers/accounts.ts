import type { Config } from '../../src/config.ts'
import { createPasswords } from '../../src/core/passwords/passwords.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { createAccounts } from '../account.ts'

export const PASSWORD = 'correct horse battery'

/** Each server has all of these accounts; every client has one of its own, as a server with many users would see. */
export function addresses(from: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `user-${from + index}@example.com`)
}

/** Creates accounts in Ratchet's database: a registration would wait for a mail. */
export async function seedRatchet(config: Config, emails: readonly string[]): Promise<void> {
  const passwords = await createPasswords({ clock: systemClock }, config.argon2)
  await createAccounts(config, emails, await passwords.hash(PASSWORD, 'local'))
}

/** Registers accounts through a server's own endpoint. */
export async function signUp(endpoint: string, emails: readonly string[]): Promise<void> {
  for (const email of emails) await postJson(endpoint, { name: 'User', email, password: PASSWORD })
}

/** Prepares a measurement. The origin is the server's own. @throws when the answer is not a success. */
export async function postJson(endpoint: string, body: object): Promise<Response> {
  // Node's `fetch` sends Sec-Fetch-Mode, after which Better Auth expects the header that a browser would add.
  const headers = { 'content-type': 'application/json', origin: new URL(endpoint).origin }
  const response = await fetch(endpoint, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${endpoint} answered ${response.status}: ${await response.text()}`)
  return response
}
