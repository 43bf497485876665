import type { createPerson } from './administrator.ts'
import { createAuthenticator } from './authenticator.ts'
import { addPasskey } from './passkeys.ts'
import type { TestServer } from './server.ts'
import { totpCode } from './totp.ts'

type Person = Awaited<ReturnType<typeof createPerson>>

/** Sets up an authenticator app and returns its secret and the recovery codes. Uses up the code of `now`. */
export async function addTotp(server: TestServer, { account, bearer }: Person, now: number) {
  const { password } = account
  const { secret } = (await server.post('/auth/mfa/totp', { password }, { bearer })).body
  const confirmed = await server.post('/auth/mfa/totp/confirm', { code: totpCode(secret, now) }, { bearer })
  if (confirmed.status !== 200) throw new Error(`no authenticator app was set up: ${confirmed.text}`)
  return { secret: secret as string, recoveryCodes: confirmed.body.recovery_codes as string[] }
}

/** Adds an authenticator app, recovery codes and a passkey. */
export async function addEveryFactor(server: TestServer, person: Person, now: number) {
  const { secret, recoveryCodes } = await addTotp(server, person, now)
  const authenticator = createAuthenticator()
  const proof = { recovery_code: recoveryCodes[0] }
  const { passkey } = await addPasskey(server, person.account.password, person.bearer, authenticator, proof)
  return { secret, recoveryCodes, authenticator, passkeyId: passkey.id }
}
