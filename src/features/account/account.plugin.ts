import type { FastifyInstance } from 'fastify'
import { type ActivityUses, activityRoutes } from './activity.routes.ts'
import { type EmailChangeUses, emailChangeRoutes } from './email-change.routes.ts'
import { type ExportUses, exportRoutes } from './export.routes.ts'
import { type ProfileUses, profileRoutes } from './profile.routes.ts'
import { type RegistrationUses, registrationRoutes } from './registration.routes.ts'

/** A user's own account: registration, profile, password, e-mail address, deletion, activity and export. */
export async function account(
  app: FastifyInstance,
  uses: RegistrationUses & ProfileUses & EmailChangeUses & ActivityUses & ExportUses,
): Promise<void> {
  await app.register(registrationRoutes, uses)
  await app.register(profileRoutes, uses)
  await app.register(emailChangeRoutes, uses)
  await app.register(activityRoutes, uses)
  await app.register(exportRoutes, uses)
}
