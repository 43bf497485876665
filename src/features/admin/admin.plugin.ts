import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { ErasureDeps } from '../../core/erasure/erasure.ts'
import { type AdminAction, EVENT_TYPES, OUTCOMES } from '../../core/events/events.ts'
import type { RequireAdministrator } from '../../http/administrator.ts'
import type { Authenticate } from '../../http/authenticate.ts'
import { pageFields } from '../../http/cursor.ts'
import type { RateLimits } from '../../http/rate-limit.ts'
import { requestContext } from '../../http/request-origin.ts'
import { NoContent, oneOf, strict, Uuid } from '../../http/schemas.ts'
import { Account, AccountDetail } from './account.ts'
import { deleteUser } from './delete-user.ts'
import { disableUser, enableUser } from './disable-user.ts'
import { endSessions } from './end-sessions.ts'
import { listAudit } from './list-audit.ts'
import { type RequirePasswordResetDeps, requirePasswordReset } from './require-password-reset.ts'
import { searchUsers } from './search-users.ts'
import { showUser } from './show-user.ts'

export interface AdminDeps extends RequirePasswordResetDeps, ErasureDeps {
  authenticate: Authenticate
  requireAdministrator: RequireAdministrator
  rateLimits: RateLimits
}

const OfUser = Type.Object({ id: Uuid })
const Nothing = Type.Object({}, strict)
const Nullable = Type.Union([Type.String(), Type.Null()])
const Event = Type.Object({
  id: Type.String(),
  at: Type.String({ format: 'date-time' }),
  type: Type.Unsafe<string>(oneOf(EVENT_TYPES)),
  outcome: Type.Unsafe<string>(oneOf(OUTCOMES)),
  reason: Nullable,
  user_id: Nullable,
  session_id: Nullable,
  actor: Type.Union([Type.String(), Type.Null()], {
    description: 'Who did it, where that is not the account itself: an administrator, or the command line',
  }),
  ip: Nullable,
  user_agent: Nullable,
  request_id: Nullable,
})

const guarded = ['administrators_only', 'second_factor_needed'] as const
const commands = {
  disable: {
    type: 'account_disable',
    run: disableUser,
    summary: 'Disable an account, which ends its sessions',
    problems: [...guarded, 'not_found', 'own_account', 'revocation_pending'],
  },
  enable: {
    type: 'account_enable',
    run: enableUser,
    summary: 'Enable an account again',
    problems: [...guarded, 'not_found'],
  },
  'end-sessions': {
    type: 'sessions_end',
    run: endSessions,
    summary: 'End every session of an account',
    problems: [...guarded, 'not_found', 'revocation_pending'],
  },
  'require-password-reset': {
    type: 'password_reset_require',
    run: requirePasswordReset,
    summary: 'Let nobody sign in to an account until its password has been reset',
    problems: [...guarded, 'not_found', 'own_account', 'revocation_pending'],
  },
} as const

/** What administrators see of, and do to, the accounts of others. */
export const admin: FastifyPluginAsyncTypebox<AdminDeps> = async (app, deps) => {
  const { authenticate, requireAdministrator } = deps
  const limit = deps.rateLimits.limit('admin', 120, 60)
  const guard = (type: AdminAction | 'account_delete') => [authenticate, limit, requireAdministrator(type)]
  const tags = ['administration']
  const security = [{ bearer: [] }]
  // An id has one spelling only where it is compared.
  const target = (request: FastifyRequest<{ Params: { id: string } }>) => ({
    userId: request.params.id.toLowerCase(),
    actor: request.session.sub,
  })

  app.get(
    '/admin/users',
    {
      onRequest: guard('account_search'),
      schema: {
        tags,
        security,
        summary: 'Accounts, newest first',
        querystring: Type.Object(
          {
            // Postgres stores neither NUL nor half of a character.
            query: Type.Optional(
              Type.String({
                maxLength: 320,
                pattern: '^[^\\p{Cc}\\p{Cs}]*$',
                description: 'Part of the address or of the name',
              }),
            ),
            ...pageFields,
          },
          strict,
        ),
        response: { 200: Type.Object({ users: Type.Array(Account), next_cursor: Nullable }) },
        problems: guarded,
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      return searchUsers(deps, request.query, request.session.sub, requestContext(request))
    },
  )

  app.get(
    '/admin/users/:id',
    {
      onRequest: guard('account_view'),
      schema: {
        tags,
        security,
        summary: 'One account',
        params: OfUser,
        response: { 200: AccountDetail },
        problems: [...guarded, 'not_found'],
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      return showUser(deps, target(request), requestContext(request))
    },
  )

  for (const [name, { type, run, summary, problems }] of Object.entries(commands)) {
    app.post(
      `/admin/users/:id/${name}`,
      {
        onRequest: guard(type),
        schema: {
          tags,
          security,
          summary,
          params: OfUser,
          body: Nothing,
          response: { 204: NoContent },
          problems,
        },
      },
      async (request, reply) => {
        await run(deps, target(request), requestContext(request))
        return reply.status(204).send(null)
      },
    )
  }

  app.delete(
    '/admin/users/:id',
    {
      onRequest: guard('account_delete'),
      schema: {
        tags,
        security,
        summary: 'Delete an account',
        params: OfUser,
        body: Nothing,
        response: { 204: NoContent },
        problems: [...guarded, 'not_found', 'own_account', 'revocation_pending'],
      },
    },
    async (request, reply) => {
      await deleteUser(deps, target(request), requestContext(request))
      return reply.status(204).send(null)
    },
  )

  app.get(
    '/admin/audit',
    {
      onRequest: guard('audit_read'),
      schema: {
        tags,
        security,
        summary: 'The audit trail, newest first',
        querystring: Type.Object(
          {
            user_id: Type.Optional(Uuid),
            type: Type.Optional(oneOf(EVENT_TYPES)),
            ...pageFields,
          },
          strict,
        ),
        response: { 200: Type.Object({ events: Type.Array(Event), next_cursor: Nullable }) },
        problems: guarded,
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      const { user_id: userId, ...query } = request.query
      const narrowed = { ...query, userId: userId?.toLowerCase() }
      return listAudit(deps, narrowed, request.session.sub, requestContext(request))
    },
  )
}
