import { Prisma } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { StoreUnavailable } from '../../platform/store-unavailable.ts'
import type { Client, Resource } from './client.ts'

/** What users of the operator's own app may do at a resource. */
export type OwnPermission = Client['permissions'][number]

/** Which resources the operator's own app gets tokens for. */
export interface OwnApp {
  /**
   * As it was less than a second ago; undefined for any other resource. A node has them in memory: nothing is waited for.
   * @throws {StoreUnavailable} until Postgres has answered for the first time.
   */
  permissionAt(identifier: string): OwnPermission | undefined
}

type Row = Resource & { appScopes: string[] }

const APP_RESOURCES = Prisma.sql`(
  SELECT coalesce(jsonb_agg(jsonb_build_object('identifier', identifier, 'scopes', scopes, 'appScopes', app_scopes,
    'tokenTtl', token_ttl, 'typ', typ, 'alg', alg)), '[]') FROM resources WHERE app_scopes <> '{}')`

/** Without Postgres, what was last read stays: nobody can change it meanwhile. */
export function createOwnApp({ poll }: UsesPlatform<'poll'>): OwnApp {
  let permissions: ReadonlyMap<string, OwnPermission> | undefined
  poll.ask<Row[]>({
    task: 'app_resources',
    sql: () => APP_RESOURCES,
    answer(rows) {
      permissions = new Map(
        rows.map(({ appScopes, ...resource }) => {
          const scopes = appScopes.filter((scope) => resource.scopes.includes(scope))
          return [resource.identifier, { resource, scopes }]
        }),
      )
    },
  })
  return {
    permissionAt(identifier) {
      // The node has begun without an answer of Postgres: whether there is such a resource is not known.
      if (!permissions) throw new StoreUnavailable('postgres')
      return permissions.get(identifier)
    },
  }
}
