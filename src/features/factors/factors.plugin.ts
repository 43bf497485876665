import type { FastifyInstance } from 'fastify'
import { type KeepFactorsRoutesUses, keepFactorsRoutes } from './keep-factors.routes.ts'
import { type PasskeysUses, passkeyRoutes } from './passkeys.routes.ts'
import { type TotpUses, totpRoutes } from './totp.routes.ts'

/** The second factors of a user's own account. */
export async function factors(
  app: FastifyInstance,
  uses: TotpUses & PasskeysUses & KeepFactorsRoutesUses,
): Promise<void> {
  await app.register(totpRoutes, uses)
  await app.register(passkeyRoutes, uses)
  await app.register(keepFactorsRoutes, uses)
}
