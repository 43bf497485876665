import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { RegistryDeps } from '../../core/client-registry/client-registry.ts'
import { EVENT_TYPES, OUTCOMES } from '../../core/events/events.ts'
import type { Uses } from '../../core/uses.ts'
import { pageFields } from '../../http/cursor.ts'
import { actorOf } from '../../http/principal.ts'
import { contextOf } from '../../http/request-context.ts'
import { NoContent, oneOf, strict, Uuid, WITHOUT_CONTROLS } from '../../http/schemas.ts'
import { Account, AccountDetail } from './account.ts'
import type { AdminUses } from './change-account.ts'
import { clientsRoutes } from './clients.routes.ts'
import { deleteUser } from './delete-user.ts'
import { disableUser, enableUser } from './disable-user.ts'
import { endSessions } from './end-sessions.ts'
import { listAudit } from './list-audit.ts'
import { requirePasswordReset } from './require-password-reset.ts'
import { resetFactorsRoutes } from './reset-factors.routes.ts'
import { resourcesRoutes } from './resources.routes.ts'
import { searchUsers } from './search-users.ts'
import { showUser } from './show-user.ts'

const READ = 'admin:users:read'
const WRITE = 'admin:users:write'

const OfUser = Type.Object({ id: Uuid })
const Nothing = Type.Object({}, strict)
const Nullable = Type.Union([Type.String(), Type.Null()])
const Event = Type.Object(
  {
    id: Type.String(),
    at: Type.String({ format: 'date-time' }),
    type: Type.Unsafe<string>(oneOf(EVENT_TYPES)),
    outcome: Type.Unsafe<string>(oneOf(OUTCOMES)),
    reason: Nullable,
    user_id: Nullable,
    session_id: Nullable,
    client_id: Nullable,
    resource: Type.Union([Type.String(), Type.Null()], {
      description: 'The registered API that it is about',
    }),
    actor: Type.Union([Type.String(), Type.Null()], {
      description: 'Who acted, if not the user: an administrator, a client, or the command line',
    }),
    ip: Nullable,
    user_agent: Nullable,
    request_id: Nullable,
    count: Type.Integer({
      description:
        'How often it happened within the minute that begins at `at`. More than 1 only for events that are about no account, ' +
        'of which nothing else is kept',
    }),
  },
  { title: 'AuditEvent' },
)

const commands = {
  disable: {
    type: 'account_disable',
    run: disableUser,
    operationId: 'disableUser',
    summary: 'Disable an account and end its sessions',
    description: 'Nobody can sign in to it until it is enabled again.',
    problems: ['not_found', 'own_account', 'revocation_pending'],
  },
  enable: {
    type: 'account_enable',
    run: enableUser,
    operationId: 'enableUser',
    summary: 'Enable an account again',
    description: 'Its owner can sign in again. Ended sessions stay ended.',
    problems: ['not_found'],
  },
  'end-sessions': {
    type: 'sessions_end',
    run: endSessions,
    operationId: 'endUserSessions',
    summary: 'End every session of an account',
    description: 'Its owner has to sign in again.',
    problems: ['not_found', 'revocation_pending'],
  },
  'require-password-reset': {
    type: 'password_reset_require',
    run: requirePasswordReset,
    operationId: 'requirePasswordReset',
    summary: 'Block sign-ins to an account until its password has been reset',
    description: 'Ends its sessions and mails its owner a link.',
    problems: ['not_found', 'own_account', 'revocation_pending'],
  },
} as const

/** What administrators see and do across accounts. */
export const admin: FastifyPluginAsyncTypebox<
  AdminUses & RegistryDeps & Uses<'factors' | 'factorResets' | 'oneTimeTokens' | 'links'>
> = async (app, uses) => {
  const limit = 'admin'
  const tags = ['administration']
  // Ids are compared as text, so they are brought into lower case.
  const target = (request: FastifyRequest<{ Params: { id: string } }>) => ({
    userId: request.params.id.toLowerCase(),
    actor: actorOf(request),
  })

  app.get(
    '/admin/users',
    {
      config: { auth: { admin: 'account_search', client: READ }, limit },
      schema: {
        operationId: 'searchUsers',
        tags,
        summary: 'List accounts, newest first',
        description: 'With `query`, only accounts whose address or name contains it.',
        querystring: Type.Object(
          {
            // Postgres stores neither NUL nor half of a surrogate pair.
            query: Type.Optional(
              Type.String({
                maxLength: 320,
                pattern: WITHOUT_CONTROLS,
                description: 'Part of the address or the name',
              }),
            ),
            ...pageFields,
          },
          strict,
        ),
        response: { 200: Type.Object({ users: Type.Array(Account), next_cursor: Nullable }) },
      },
    },
    async (request) => {
      return searchUsers(uses, request.query, actorOf(request), contextOf(request))
    },
  )

  app.get(
    '/admin/users/:id',
    {
      config: { auth: { admin: 'account_view', client: READ }, limit },
      schema: {
        operationId: 'getUser',
        tags,
        summary: 'Get one account',
        description:
          'With its second factors, the number of its live sessions, and what is known about mail to it.',
        params: OfUser,
        response: { 200: AccountDetail },
        problems: ['not_found'],
      },
    },
    async (request) => {
      return showUser(uses, target(request), contextOf(request))
    },
  )

  for (const [name, { type, run, problems, ...names }] of Object.entries(commands)) {
    app.post(
      `/admin/users/:id/${name}`,
      {
        config: { auth: { admin: type, client: WRITE }, limit },
        schema: {
          ...names,
          tags,
          params: OfUser,
          body: Nothing,
          response: { 204: NoContent },
          problems,
        },
      },
      async (request, reply) => {
        await run(uses, target(request), contextOf(request))
        return reply.status(204).send(null)
      },
    )
  }

  await app.register(resetFactorsRoutes, uses)
  await app.register(clientsRoutes, uses)
  await app.register(resourcesRoutes, uses)

  app.delete(
    '/admin/users/:id',
    {
      config: { auth: { admin: 'account_delete', client: WRITE }, limit },
      schema: {
        operationId: 'deleteUser',
        tags,
        summary: 'Delete an account',
        description: 'With everything that belongs to it; its sessions end at once.',
        params: OfUser,
        body: Nothing,
        response: { 204: NoContent },
        problems: ['not_found', 'own_account', 'revocation_pending'],
      },
    },
    async (request, reply) => {
      await deleteUser(uses, target(request), contextOf(request))
      return reply.status(204).send(null)
    },
  )

  app.get(
    '/admin/audit',
    {
      config: { auth: { admin: 'audit_read' }, limit },
      schema: {
        operationId: 'listAuditEvents',
        tags,
        summary: 'List the audit events, newest first',
        description: 'Of all accounts, or of one. Reading them is itself an event.',
        querystring: Type.Object(
          {
            user_id: Type.Optional(Uuid),
            type: Type.Optional(oneOf(EVENT_TYPES)),
            ...pageFields,
          },
          strict,
        ),
        response: { 200: Type.Object({ events: Type.Array(Event), next_cursor: Nullable }) },
      },
    },
    async (request) => {
      const { user_id: userId, ...query } = request.query
      const narrowed = { ...query, userId: userId?.toLowerCase() }
      return listAudit(uses, narrowed, actorOf(request), contextOf(request))
    },
  )
}
