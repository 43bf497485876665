import type { FastifyRequest } from 'fastify'
import type { AdminScope } from '../core/clients/clients.ts'
import type { AdminAction, AuditEvent } from '../core/events/events.ts'
import type { ClientPrincipal } from '../core/principals/principals.ts'
import { Problem } from '../core/problems/problems.ts'
import type { Uses } from '../core/uses.ts'
import { userOf } from './principal.ts'
import { contextOf } from './request-context.ts'

/** Creates a hook that admits only administrators, or a client with the scope; it runs after `authenticate`. */
export type RequireAdministrator = (auth: {
  admin: AdminAction
  client?: AdminScope
}) => (request: FastifyRequest) => Promise<void>

const ADMIN = 'admin'

/**
 * Reads the user and the session from Postgres each time, so that a removed role or an ended session takes effect at
 * once. Administrators must have signed in with a second factor. A client is as it was less than a second ago. Refusals
 * are recorded.
 * @throws `access_token_invalid`, `administrators_only`, `second_factor_needed`, `insufficient_scope`.
 */
export function createRequireAdministrator(
  services: Uses<'db' | 'sessions' | 'users' | 'clients' | 'events'>,
): RequireAdministrator {
  const { db, sessions, users, clients, events } = services

  async function requireRole(type: AdminAction, request: FastifyRequest): Promise<void> {
    const { userId, sessionId, amr } = userOf(request)
    const [session, user] = await Promise.all([sessions.find(db, sessionId), users.find(db, userId)])
    if (!session || session.endedAt) {
      throw new Problem('access_token_invalid', { detail: 'The session has ended.' })
    }
    const isAdministrator = user?.roles.includes(ADMIN) && !user.disabledAt
    if (isAdministrator && amr.includes('mfa')) return
    const reason = isAdministrator ? 'second_factor_needed' : 'administrators_only'
    const event = { type, outcome: 'failure', reason, userId, sessionId } as AuditEvent
    await events.record(db, event, contextOf(request))
    throw new Problem(reason)
  }

  async function requireScope(
    type: AdminAction,
    { clientId, scope }: ClientPrincipal,
    needed: AdminScope,
    request: FastifyRequest,
  ): Promise<void> {
    const refuse = async (reason: 'insufficient_scope' | 'administrators_only') => {
      const event = { type, outcome: 'failure', reason, clientId, actor: clientId } as AuditEvent
      await events.record(db, event, contextOf(request))
    }
    const client = await clients.find(clientId)
    if (!client) throw new Problem('access_token_invalid', { detail: 'The client is unknown or disabled.' })
    if (!scope.includes(needed) || !client.adminScopes.includes(needed)) {
      await refuse('insufficient_scope')
      throw new Problem('insufficient_scope', { scope: needed })
    }
    // Otherwise a stolen secret could keep out those who would notice.
    if (needed === 'admin:users:write' && (await isOfAdministrator(request.params))) {
      await refuse('administrators_only')
      throw new Problem('administrators_only', { detail: 'The account is that of an administrator.' })
    }
  }

  async function isOfAdministrator(params: unknown): Promise<boolean> {
    const { id } = params as { id?: string }
    const user = id && UUID.test(id) ? await users.find(db, id.toLowerCase()) : null
    return user?.roles.includes(ADMIN) ?? false
  }

  return ({ admin: type, client: needed }) =>
    async (request) => {
      const { principal } = request
      if (needed && principal.kind === 'client') return requireScope(type, principal, needed, request)
      return requireRole(type, request)
    }
}

// The hook runs before the path is validated.
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
