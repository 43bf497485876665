// Better Auth with its own sessions.
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import { serveParent } from '../../serve.ts'
import { betterAuthOptions } from './better-auth.ts'
import { serverFor } from './listen.ts'

const options = betterAuthOptions()
await (await getMigrations(options)).runMigrations()
await serveParent(serverFor(toNodeHandler(betterAuth(options))), () => null)
