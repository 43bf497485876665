import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import {
  changeRegisteredResource,
  type RegistryDeps,
  registerResource,
  removeResource,
} from '../../core/client-registry/client-registry.ts'
import { type ResourceChanges, TOKEN_TYPES } from '../../core/clients/clients.ts'
import { pageFields } from '../../http/cursor.ts'
import { ResourceDocument } from '../../http/registry-documents.ts'
import { NoContent, oneOf, orNull, strict, WITHOUT_CONTROLS } from '../../http/schemas.ts'
import { ACCESS_TOKEN_TTL } from '../../platform/access-token-times.ts'
import { SIGNING_ALGORITHMS } from '../../platform/signing-algorithms.ts'
import { byAdministrator } from './by-administrator.ts'
import { listRegisteredResources } from './read-registry.ts'

// In the query, because servers in between change slashes in a path.
const Identifier = Type.String({
  maxLength: 500,
  pattern: WITHOUT_CONTROLS,
  examples: ['https://api.example.com'],
})
const OfResource = Type.Object({ identifier: Identifier }, strict)
const Name = Type.String({ examples: ['Orders'] })
const Scopes = Type.Array(Type.String(), { examples: [['orders:read']] })

const changeable = {
  name: Type.Optional(Name),
  scopes: Type.Optional(Scopes),
  open_scopes: Type.Optional(
    Type.Array(Type.String(), {
      description: 'Those of its scopes that clients which nobody registered may ask for',
      examples: [['orders:read']],
    }),
  ),
  app_scopes: Type.Optional(
    Type.Array(Type.String(), {
      description: 'Those of its scopes that users of your own app have',
      examples: [['orders:read']],
    }),
  ),
  token_ttl: Type.Optional(
    Type.Integer({ description: `Seconds; ${ACCESS_TOKEN_TTL.most} at most, and by default` }),
  ),
  typ: Type.Optional(oneOf(TOKEN_TYPES)),
  alg: Type.Optional(
    Type.Unsafe<(typeof SIGNING_ALGORITHMS)[number] | null>({
      type: ['string', 'null'],
      enum: [...SIGNING_ALGORITHMS, null],
      description: "Null, the default, is the server's own",
    }),
  ),
  server: Type.Optional(orNull(Type.String({ description: 'The client that may introspect its tokens' }))),
}
const NewResource = Type.Object({ ...changeable, identifier: Identifier, scopes: Scopes }, strict)
const Changes = Type.Object(changeable, { ...strict, minProperties: 1 })

/** APIs that accept access tokens. */
export const resourcesRoutes: FastifyPluginAsyncTypebox<RegistryDeps> = async (app, uses) => {
  const url = '/admin/resources'
  const limit = 'admin'
  const tags = ['administration']

  app.get(
    url,
    {
      config: { auth: { admin: 'resource_list' }, limit },
      schema: {
        operationId: 'listResources',
        tags,
        summary: 'List the APIs that accept access tokens, newest first',
        description: 'With `identifier`, only that one.',
        querystring: Type.Object({ identifier: Type.Optional(Identifier), ...pageFields }, strict),
        response: {
          200: Type.Object({
            resources: Type.Array(ResourceDocument),
            next_cursor: Type.Union([Type.String(), Type.Null()]),
          }),
        },
      },
    },
    async (request) => listRegisteredResources(uses, byAdministrator(request), request.query),
  )

  app.post(
    url,
    {
      config: { auth: { admin: 'resource_create' }, limit },
      schema: {
        operationId: 'createResource',
        tags,
        summary: 'Register an API that accepts access tokens',
        description: 'The first key of its algorithm is made if there is none, and signs at once.',
        body: NewResource,
        response: { 201: Type.Object({ identifier: Type.String() }) },
        problems: ['validation_failed', 'resource_exists'],
      },
    },
    async (request, reply) => {
      const { identifier, scopes } = request.body
      const {
        name = identifier,
        tokenTtl = ACCESS_TOKEN_TTL.most,
        typ = 'at+jwt',
        ...rest
      } = changesOf(request.body)
      const resource = { ...rest, identifier, name, scopes, tokenTtl, typ }
      await registerResource(uses, byAdministrator(request), resource)
      return reply.status(201).send({ identifier })
    },
  )

  app.patch(
    url,
    {
      config: { auth: { admin: 'resource_change' }, limit },
      schema: {
        operationId: 'changeResource',
        tags,
        summary: 'Change such an API',
        description: 'What is left out stays. Tokens that exist keep what they have.',
        querystring: OfResource,
        body: Changes,
        response: { 204: NoContent },
        problems: ['validation_failed', 'not_found', 'signing_key_waits'],
      },
    },
    async (request, reply) => {
      const { identifier } = request.query
      await changeRegisteredResource(uses, byAdministrator(request), identifier, changesOf(request.body))
      return reply.status(204).send(null)
    },
  )

  app.delete(
    url,
    {
      config: { auth: { admin: 'resource_delete' }, limit },
      schema: {
        operationId: 'deleteResource',
        tags,
        summary: 'Remove such an API',
        description: 'No more tokens are issued for it. Those that exist are valid until they expire.',
        querystring: OfResource,
        body: Type.Object({}, strict),
        response: { 204: NoContent },
        problems: ['not_found'],
      },
    },
    async (request, reply) => {
      await removeResource(uses, byAdministrator(request), request.query.identifier)
      return reply.status(204).send(null)
    },
  )
}

function changesOf({
  name,
  scopes,
  open_scopes: openScopes,
  app_scopes: appScopes,
  token_ttl: tokenTtl,
  typ,
  alg,
  server: serverId,
}: Static<typeof Changes>) {
  const given = Object.entries({ name, scopes, openScopes, appScopes, tokenTtl, typ, alg, serverId })
  return Object.fromEntries(given.filter(([, value]) => value !== undefined)) as ResourceChanges
}
