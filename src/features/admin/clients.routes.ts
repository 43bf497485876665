import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  addClientSecret,
  changeRegisteredClient,
  disableClient,
  enableClient,
  endClientSecrets,
  type RegistryDeps,
  registerClient,
  removeClient,
} from '../../core/client-registry/client-registry.ts'
import { pageFields } from '../../http/cursor.ts'
import { ClientDocument } from '../../http/registry-documents.ts'
import { NoContent, strict, WITHOUT_CONTROLS } from '../../http/schemas.ts'
import { byAdministrator } from './by-administrator.ts'
import { Changes, changesOf, NewClient } from './client-body.ts'
import { listRegisteredClients, showClient } from './read-registry.ts'

const OfClient = Type.Object({
  id: Type.String({ maxLength: 100, pattern: WITHOUT_CONTROLS, examples: ['client_c7XK2m0Jc0u8f7e5r3Qp1A'] }),
})
const Nothing = Type.Object({}, strict)
const Secret = Type.Union([Type.String(), Type.Null()], { description: 'Never shown again' })

/** Third-party clients. */
export const clientsRoutes: FastifyPluginAsyncTypebox<RegistryDeps> = async (app, uses) => {
  const limit = 'admin'
  const tags = ['administration']

  app.get(
    '/admin/clients',
    {
      config: { auth: { admin: 'client_list' }, limit },
      schema: {
        operationId: 'listClients',
        tags,
        summary: 'List clients, newest first',
        description: 'Those that were registered here, with what they may ask for.',
        querystring: Type.Object(pageFields, strict),
        response: {
          200: Type.Object({
            clients: Type.Array(ClientDocument),
            next_cursor: Type.Union([Type.String(), Type.Null()]),
          }),
        },
      },
    },
    async (request) => listRegisteredClients(uses, byAdministrator(request), request.query),
  )

  app.get(
    '/admin/clients/:id',
    {
      config: { auth: { admin: 'client_view' }, limit },
      schema: {
        operationId: 'getClient',
        tags,
        summary: 'Get one client',
        description: 'With its permissions, and when its secrets were used last.',
        params: OfClient,
        response: { 200: ClientDocument },
        problems: ['not_found'],
      },
    },
    async (request) => showClient(uses, byAdministrator(request), request.params.id),
  )

  app.post(
    '/admin/clients',
    {
      config: { auth: { admin: 'client_create' }, limit },
      schema: {
        operationId: 'createClient',
        tags,
        summary: 'Register a client',
        description: 'Its secret, if it has one, is in the answer and never shown again.',
        body: NewClient,
        response: { 201: Type.Object({ client_id: Type.String(), client_secret: Secret }) },
        problems: ['validation_failed'],
      },
    },
    async (request, reply) => {
      const { body } = request
      const client = {
        ...changesOf(body),
        name: body.name,
        authMethod: body.auth_method,
        grantTypes: body.grant_types,
      }
      const { id, secret } = await registerClient(uses, byAdministrator(request), client)
      return reply.status(201).send({ client_id: id, client_secret: secret })
    },
  )

  app.patch(
    '/admin/clients/:id',
    {
      config: { auth: { admin: 'client_change' }, limit },
      schema: {
        operationId: 'changeClient',
        tags,
        summary: 'Change a client',
        description:
          'What is left out stays. With `permissions`, they are exactly these. Tokens that it has got keep what they have.',
        params: OfClient,
        body: Changes,
        response: { 200: ClientDocument },
        problems: ['validation_failed', 'not_found', 'command_line_only', 'signing_key_waits'],
      },
    },
    async (request) => {
      const by = byAdministrator(request)
      await changeRegisteredClient(uses, by, request.params.id, changesOf(request.body))
      return showClient(uses, by, request.params.id)
    },
  )

  for (const [name, { type, run, problems, ...names }] of Object.entries(commands)) {
    app.post(
      `/admin/clients/:id/${name}`,
      {
        config: { auth: { admin: type }, limit },
        schema: { ...names, tags, params: OfClient, body: Nothing, response: { 204: NoContent }, problems },
      },
      async (request, reply) => {
        await run(uses, byAdministrator(request), request.params.id)
        return reply.status(204).send(null)
      },
    )
  }

  app.post(
    '/admin/clients/:id/secrets',
    {
      config: { auth: { admin: 'client_secret_add' }, limit },
      schema: {
        operationId: 'addClientSecret',
        tags,
        summary: 'Add a secret to a client',
        description: 'The newest one goes on working. An older one ends: a client has two at most.',
        params: OfClient,
        body: Nothing,
        response: { 201: Type.Object({ client_secret: Type.String({ description: 'Never shown again' }) }) },
        problems: ['not_found', 'command_line_only'],
      },
    },
    async (request, reply) => {
      const secret = await addClientSecret(uses, byAdministrator(request), request.params.id)
      return reply.status(201).send({ client_secret: secret })
    },
  )

  for (const [path, { type, run, problems, ...names }] of Object.entries(deletions)) {
    app.delete(
      path,
      {
        config: { auth: { admin: type }, limit },
        schema: {
          ...names,
          tags,
          params: OfClient,
          body: Nothing,
          response: { 204: NoContent },
          problems,
        },
      },
      async (request, reply) => {
        await run(uses, byAdministrator(request), request.params.id)
        return reply.status(204).send(null)
      },
    )
  }
}

const commands = {
  disable: {
    type: 'client_disable',
    run: disableClient,
    operationId: 'disableClient',
    summary: 'Disable a client',
    description: 'It is refused everywhere within a second.',
    problems: ['not_found'],
  },
  enable: {
    type: 'client_enable',
    run: enableClient,
    operationId: 'enableClient',
    summary: 'Enable a client again',
    description: 'It is accepted again.',
    problems: ['not_found', 'command_line_only'],
  },
} as const

const deletions = {
  '/admin/clients/:id/secrets': {
    type: 'client_secrets_end',
    run: endClientSecrets,
    operationId: 'endOldClientSecrets',
    summary: 'End every secret of a client but the newest',
    description: 'The newest one goes on working.',
    problems: ['not_found'],
  },
  '/admin/clients/:id': {
    type: 'client_delete',
    run: removeClient,
    operationId: 'deleteClient',
    summary: 'Delete a client',
    description:
      'With its secrets and the sessions that users gave it. It is refused everywhere within a second.',
    problems: ['not_found', 'revocation_pending'],
  },
} as const
