import { randomBytes } from 'node:crypto'
import type { JSONWebKeySet } from 'jose'
import type { Queryable } from '../../platform/database.ts'
import type { SigningAlgorithm } from '../../platform/signing-algorithms.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { AdminScope, AuthMethod, GrantType } from './client.ts'
import { MAX_SECRETS, newSecret } from './secrets.ts'

export interface NewClient {
  name: string
  authMethod: AuthMethod
  grantTypes: readonly GrantType[]
  /** Only with `private_key_jwt`. */
  jwks?: JSONWebKeySet | undefined
  uri?: string | null
  redirectUris?: readonly string[]
  postLogoutRedirectUris?: readonly string[]
  backchannelLogoutUri?: string | null
  isFirstParty?: boolean
  requiresDpop?: boolean
  idTokenAlg?: SigningAlgorithm | null
  /** Seconds; half an hour by default. */
  lateWindow?: number
  adminScopes?: readonly AdminScope[]
}

/** How a client authenticates does not change: that is another client. */
export type ClientChanges = Partial<Omit<NewClient, 'authMethod'>>

/** Creates a client; the secret, if it has one, is never shown again. */
export async function createClient(
  tx: Transaction,
  now: Date,
  client: NewClient,
): Promise<{ id: string; secret: string | null }> {
  // Never a UUID, so that its `sub` is never that of a user (RFC 9068 §5).
  const id = `client_${randomBytes(16).toString('base64url')}`
  const made = client.authMethod === 'client_secret' ? newSecret(now) : null
  await tx.client.create({
    data: {
      ...columnsOf(client),
      id,
      name: client.name,
      authMethod: client.authMethod,
      createdAt: now,
      updatedAt: now,
      ...(made ? { secrets: { create: made.row } } : {}),
    },
  })
  return { id, secret: made?.secret ?? null }
}

/** Prisma wants arrays that it could change. */
function columnsOf({
  jwks,
  grantTypes,
  redirectUris,
  postLogoutRedirectUris,
  adminScopes,
  ...rest
}: ClientChanges) {
  return {
    ...rest,
    ...(jwks ? { jwks: jwks as object } : {}),
    ...(grantTypes ? { grantTypes: [...grantTypes] } : {}),
    ...(redirectUris ? { redirectUris: [...redirectUris] } : {}),
    ...(postLogoutRedirectUris ? { postLogoutRedirectUris: [...postLogoutRedirectUris] } : {}),
    ...(adminScopes ? { adminScopes: [...adminScopes] } : {}),
  }
}

/** Changes what is given; the rest stays. */
export async function changeClient(
  tx: Transaction,
  now: Date,
  id: string,
  changes: ClientChanges,
): Promise<void> {
  await tx.client.update({ where: { id }, data: { ...columnsOf(changes), updatedAt: now } })
}

/**
 * Lets a client ask for exactly these scopes of a resource; none removes it.
 * Returns what is missing: a client or a resource that is unknown, scopes that the resource does not have.
 */
export async function allow(
  tx: Transaction,
  { clientId, identifier, scopes }: { clientId: string; identifier: string; scopes: readonly string[] },
): Promise<{ missing: 'client' | 'resource' | readonly string[] } | null> {
  // One after the other: they share the connection of the transaction.
  const client = await tx.client.findUnique({ where: { id: clientId } })
  const resource = await tx.resource.findUnique({ where: { identifier } })
  if (!client) return { missing: 'client' }
  if (!resource) return { missing: 'resource' }
  const unknown = scopes.filter((scope) => !resource.scopes.includes(scope))
  if (unknown.length > 0) return { missing: unknown }
  const key = { clientId, resourceIdentifier: identifier }
  await tx.clientResource.deleteMany({ where: key })
  if (scopes.length > 0) await tx.clientResource.create({ data: { ...key, scopes: [...scopes] } })
  return null
}

/**
 * Adds a secret beside the one that is in use. Beyond two, the oldest ends.
 * Null for a client that is unknown or has no secrets.
 */
export async function addSecret(tx: Transaction, now: Date, clientId: string): Promise<string | null> {
  // Locked, so that two calls at once leave no third secret.
  const [client] = await tx.$queryRaw<{ authMethod: string }[]>`
    SELECT auth_method AS "authMethod" FROM clients WHERE id = ${clientId} FOR UPDATE`
  if (client?.authMethod !== 'client_secret') return null
  const kept = await tx.clientSecret.findMany({
    where: { clientId },
    orderBy: { createdAt: 'desc' },
    take: MAX_SECRETS - 1,
  })
  await tx.clientSecret.deleteMany({ where: { clientId, id: { notIn: kept.map(({ id }) => id) } } })
  const { secret, row } = newSecret(now)
  await tx.clientSecret.create({ data: { ...row, clientId } })
  return secret
}

/** Ends every secret but the newest. False for an unknown client. */
export async function endOldSecrets(tx: Transaction, clientId: string): Promise<boolean> {
  const newest = await tx.clientSecret.findFirst({ where: { clientId }, orderBy: { createdAt: 'desc' } })
  if (!newest) return false
  await tx.clientSecret.deleteMany({ where: { clientId, id: { not: newest.id } } })
  return true
}

/** Whether there is such a client. */
export async function setDisabled(db: Queryable, now: Date, id: string, disabled: boolean): Promise<boolean> {
  const data = { disabledAt: disabled ? now : null, updatedAt: now }
  return (await db.client.updateMany({ where: { id }, data })).count > 0
}

export const deleteClient = async (db: Queryable, id: string): Promise<boolean> =>
  (await db.client.deleteMany({ where: { id } })).count > 0
