import { randomUUID } from 'node:crypto'
import {
  allow,
  createClient,
  createResource,
  GRANT_TYPES,
  type NewClient,
  type NewResource,
} from '../../src/core/clients/clients.ts'
import type { Caller } from './caller.ts'
import type { startServer } from './server.ts'

type Server = Awaited<ReturnType<typeof startServer>>

/** Registers clients and resources with a server. */
export function registrations({ app }: Server) {
  const { db, transact } = app.services

  /** A new API, whose identifier is new too. */
  async function resource(scopes: string, options: Partial<NewResource> = {}): Promise<string> {
    const identifier = `https://api-${randomUUID().slice(0, 8)}.example.com`
    const defaults = { name: 'An API', tokenTtl: 600, typ: 'at+jwt' } as const
    await createResource(db, new Date(), { identifier, scopes: scopes.split(' '), ...defaults, ...options })
    return identifier
  }

  /** A new client, which may ask for all of these scopes by resource. */
  function client(permissions: Record<string, string>, options: Partial<NewClient> = {}) {
    return transact(async (tx) => {
      const defaults = { name: 'Robot', authMethod: 'client_secret', grantTypes: GRANT_TYPES } as const
      const { id, secret } = await createClient(tx, new Date(), { ...defaults, ...options })
      for (const [identifier, scopes] of Object.entries(permissions))
        await allow(tx, { clientId: id, identifier, scopes: scopes.split(' ') })
      return { id, secret: secret as string }
    })
  }

  return { db, transact, resource, client }
}

/** Posts a form; `basic` authenticates the client. */
export function post(
  server: Pick<Caller, 'call'>,
  path: string,
  parameters: Record<string, string> | string,
  basic?: { id: string; secret: string },
  headers: Record<string, string> = {},
) {
  const credentials = basic && Buffer.from(`${basic.id}:${basic.secret}`).toString('base64')
  return server.call('POST', path, {
    body: new URLSearchParams(parameters).toString(),
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      ...(credentials ? { authorization: `Basic ${credentials}` } : {}),
      ...headers,
    },
  })
}
