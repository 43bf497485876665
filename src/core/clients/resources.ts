import { ACCESS_TOKEN_TTL } from '../../platform/access-token-times.ts'
import type { Queryable } from '../../platform/database.ts'
import { isName } from '../../platform/name.ts'
import { parseUrl } from '../../platform/parse-url.ts'
import type { SigningAlgorithm } from '../../platform/signing-algorithms.ts'
import { ACCOUNT_SCOPE, ADMIN_SCOPES, OPENID_SCOPES, type TokenType } from './client.ts'
import { type Fault, NAME_FAULT } from './client-faults.ts'
import type { Position } from './list.ts'

export interface NewResource {
  /** A URI: the audience of its tokens. */
  identifier: string
  name: string
  scopes: readonly string[]
  /** Seconds that an access token lives. */
  tokenTtl: number
  typ: TokenType
  /** The algorithm of its access tokens; the server's without it. */
  alg?: SigningAlgorithm | null
  /** The client that may introspect its tokens: the API itself. */
  serverId?: string | null | undefined
  /** Those of its scopes that clients which nobody registered may ask for. */
  openScopes?: readonly string[]
  /** Those of its scopes that users of the operator's own app have. */
  appScopes?: readonly string[]
}

export type ResourceChanges = Partial<Omit<NewResource, 'identifier'>>

const LONGEST_IDENTIFIER = 500
const MOST_SCOPES = 100
const LONGEST_SCOPE = 100
// RFC 6749 §3.3
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/
const RESERVED: readonly string[] = [ACCOUNT_SCOPE, ...ADMIN_SCOPES, ...OPENID_SCOPES]

/**
 * Everything that is wrong with a resource as it would be registered.
 * @param own the audiences of this server: a token for its own API must never come from a resource.
 */
export function resourceFaults(
  { identifier, name, scopes, tokenTtl, openScopes = [], appScopes = [] }: NewResource,
  own: readonly string[],
): Fault[] {
  const faults: Fault[] = []
  const fault = (pointer: string, detail: string) => faults.push({ pointer, detail })
  if (!isIdentifier(identifier))
    fault('/identifier', 'must be an absolute URI without a fragment, such as https://api.example.com')
  if (own.some((each) => bare(each) === bare(identifier)))
    fault('/identifier', 'is the audience of this server itself')
  if (name !== identifier && !isName(name)) fault('/name', NAME_FAULT)
  if (!Number.isInteger(tokenTtl) || tokenTtl < 1 || tokenTtl > ACCESS_TOKEN_TTL.most)
    fault('/token_ttl', `must be a number of seconds up to ${ACCESS_TOKEN_TTL.most}`)
  if (scopes.length > MOST_SCOPES) fault('/scopes', `must be at most ${MOST_SCOPES}`)
  for (const [index, scope] of scopes.entries()) {
    if (!SCOPE.test(scope) || scope.length > LONGEST_SCOPE)
      fault(
        `/scopes/${index}`,
        `cannot have ${scope}: a scope is ASCII without spaces, quotes and backslashes`,
      )
    else if (RESERVED.includes(scope))
      fault(`/scopes/${index}`, `cannot have ${scope}, which means something else here`)
  }
  for (const [pointer, some] of Object.entries({ '/open_scopes': openScopes, '/app_scopes': appScopes }))
    for (const [index, scope] of some.entries())
      if (!scopes.includes(scope))
        fault(`${pointer}/${index}`, `cannot have ${scope}, which is not among the scopes`)
  return faults
}

/** RFC 8707 §2 */
const isIdentifier = (text: string) =>
  text.length <= LONGEST_IDENTIFIER &&
  /^[\x21-\x7e]+$/.test(text) &&
  !/[#"\\]/.test(text) &&
  parseUrl(text) !== null

const bare = (identifier: string) => identifier.toLowerCase().replace(/\/$/, '')

/** Whether it is the id of a client: then an id_token would have the audience of an access token. */
export const isClientId = async (db: Queryable, identifier: string): Promise<boolean> =>
  (await db.client.count({ where: { id: identifier } })) > 0

/** False if there is a resource with this identifier. */
export async function createResource(db: Queryable, now: Date, resource: NewResource): Promise<boolean> {
  const { scopes, openScopes = [], appScopes = [], serverId, ...rest } = resource
  const data = { ...rest, scopes: [...scopes], openScopes: [...openScopes], appScopes: [...appScopes] }
  const made = await db.resource.createMany({
    data: [{ ...data, serverId: serverId ?? null, createdAt: now }],
    skipDuplicates: true,
  })
  return made.count > 0
}

/** False if there is no such resource. Tokens that exist keep what they have. */
export async function changeResource(
  db: Queryable,
  identifier: string,
  { scopes, openScopes, appScopes, serverId, ...rest }: ResourceChanges,
): Promise<boolean> {
  const data = {
    ...rest,
    ...(scopes ? { scopes: [...scopes] } : {}),
    ...(openScopes ? { openScopes: [...openScopes] } : {}),
    ...(appScopes ? { appScopes: [...appScopes] } : {}),
    ...(serverId === undefined ? {} : { serverId }),
  }
  return (await db.resource.updateMany({ where: { identifier }, data })).count > 0
}

export const deleteResource = async (db: Queryable, identifier: string): Promise<boolean> =>
  (await db.resource.deleteMany({ where: { identifier } })).count > 0

export type RegisteredResource = NonNullable<Awaited<ReturnType<typeof findResource>>>

export const findResource = (db: Queryable, identifier: string) =>
  db.resource.findUnique({ where: { identifier } })

/** Every resource, the oldest first. */
export const listResources = (db: Queryable) =>
  db.resource.findMany({ orderBy: [{ createdAt: 'asc' }, { identifier: 'asc' }] })

/** Resources after a position, the newest first. */
export const resourcesAfter = (db: Queryable, after: Position | undefined, take: number) =>
  db.resource.findMany({
    ...(after
      ? {
          where: {
            OR: [{ createdAt: { lt: after.at } }, { createdAt: after.at, identifier: { lt: after.id } }],
          },
        }
      : {}),
    orderBy: [{ createdAt: 'desc' }, { identifier: 'desc' }],
    take,
  })
