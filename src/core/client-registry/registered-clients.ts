import type { JSONWebKeySet } from 'jose'
import { spellName } from '../../platform/name.ts'
import type { SigningAlgorithm } from '../../platform/signing-algorithms.ts'
import type { Transaction } from '../../platform/transact.ts'
import {
  type AdminScope,
  type AuthMethod,
  addSecret,
  allow,
  type ClientChanges,
  changeClient,
  clientFaults,
  createClient,
  deleteClient,
  endOldSecrets,
  type Fault,
  findClient,
  type GrantType,
  lockClient,
  type NewClient,
  type RegisteredClient,
  setDisabled,
} from '../clients/clients.ts'
import { forgetClient } from '../grants/grants.ts'
import { type By, type Refusal, type RegistryDeps, refuse, requireKey, requireValid } from './act.ts'

/** What a client may ask for at a resource. */
export interface Permission {
  resource: string
  scopes: readonly string[]
}

type WithPermissions = { permissions?: readonly Permission[] | undefined }

/** Registers a client; its secret, if it has one, is never shown again. @throws `validation_failed`. */
export async function registerClient(
  deps: RegistryDeps,
  by: By,
  { permissions, ...given }: NewClient & WithPermissions,
): Promise<{ id: string; secret: string | null }> {
  const { transact, clock, events } = deps
  const client = tidy(given)
  requireValid(clientFaults(client))
  await requireKey(deps, client.idTokenAlg, { atOnce: true })
  return transact(async (tx) => {
    const made = await createClient(tx, new Date(clock.now()), client)
    await permit(tx, made.id, permissions ?? [])
    const event = { type: 'client_create', outcome: 'success', clientId: made.id, actor: by.actor } as const
    await events.record(tx, event, by.context)
    return made
  })
}

/**
 * Changes what is given; with `permissions` they are exactly these.
 * @throws `not_found`, `command_line_only`, `validation_failed`, `signing_key_waits`.
 */
export async function changeRegisteredClient(
  deps: RegistryDeps,
  by: By,
  id: string,
  { permissions, ...given }: ClientChanges & WithPermissions,
): Promise<void> {
  const { db, clock } = deps
  const changes = tidy(given)
  const known = await findClient(db, id)
  if (known && changes.idTokenAlg && changes.idTokenAlg !== known.idTokenAlg) {
    requireValid(clientFaults({ ...asNew(known), ...changes }))
    await requireKey(deps, changes.idTokenAlg, { atOnce: false })
  }
  await act(deps, by, id, { type: 'client_change', adds: true }, async (tx, client) => {
    requireValid(clientFaults({ ...asNew(client), ...changes }))
    await changeClient(tx, new Date(clock.now()), id, changes)
    if (permissions) await permit(tx, id, permissions)
    return 'done'
  })
}

/** Lets a client ask for exactly these scopes of one resource. @throws `not_found`, `validation_failed`. */
export const allowScopes = (deps: RegistryDeps, by: By, id: string, permission: Permission): Promise<void> =>
  act(deps, by, id, { type: 'client_change', adds: true }, async (tx) => {
    requireValid(await permissionFaults(tx, id, permission, ''))
    return 'done'
  })

/** Refuses a client everywhere, within a second. @throws `not_found`. */
export const disableClient = (deps: RegistryDeps, by: By, id: string): Promise<void> =>
  act(deps, by, id, { type: 'client_disable' }, async (tx, { disabledAt }) => {
    if (disabledAt) return 'unchanged'
    await setDisabled(tx, new Date(deps.clock.now()), id, true)
    return 'done'
  })

/** Accepts it again. @throws `not_found`, `command_line_only`. */
export const enableClient = (deps: RegistryDeps, by: By, id: string): Promise<void> =>
  act(deps, by, id, { type: 'client_enable', adds: true }, async (tx, { disabledAt }) => {
    if (!disabledAt) return 'unchanged'
    await setDisabled(tx, new Date(deps.clock.now()), id, false)
    return 'done'
  })

/**
 * Deletes a client and its secrets, takes back what users allow it, and ends the sessions that they gave it.
 * @throws `not_found`, `revocation_pending` (deleted; its sessions end within a second).
 */
export const removeClient = (deps: RegistryDeps, by: By, id: string): Promise<void> =>
  act(deps, by, id, { type: 'client_delete' }, async (tx) => {
    await deleteClient(tx, id)
    await forgetClient(tx, id)
    await deps.sessions.revoke(tx, { clientId: id }, 'ended_by_administrator')
    return 'done'
  })

/** Adds a secret beside the newest one. @throws `not_found` also for a client without secrets, `command_line_only`. */
export async function addClientSecret(deps: RegistryDeps, by: By, id: string): Promise<string> {
  let secret = ''
  await act(deps, by, id, { type: 'client_secret_add', adds: true }, async (tx) => {
    const added = await addSecret(tx, new Date(deps.clock.now()), id)
    if (added === null) return 'not_found'
    secret = added
    return 'done'
  })
  return secret
}

/** Ends every secret but the newest. @throws `not_found` also for a client without secrets. */
export const endClientSecrets = (deps: RegistryDeps, by: By, id: string): Promise<void> =>
  act(deps, by, id, { type: 'client_secrets_end' }, async (tx) =>
    (await endOldSecrets(tx, id)) ? 'done' : 'not_found',
  )

/** What a change has done; it is `not_found` if the client does not have what it is about. */
type Done = 'done' | 'unchanged' | 'not_found'
type Change = Exclude<Refusal['type'], `resource_${string}` | 'client_view'>

/** Changes a client under its lock and records who did it. `adds`: it gives the client something that it did not have. */
async function act(
  deps: RegistryDeps,
  by: By,
  id: string,
  { type, adds = false }: { type: Change; adds?: boolean },
  change: (tx: Transaction, client: RegisteredClient) => Promise<Done>,
): Promise<void> {
  const { transact, events } = deps
  const refused = await transact(async (tx) => {
    const client = await lockClient(tx, id)
    if (!client) return 'not_found' as const
    // An administrator who lost the role must not keep its powers through such a client.
    if (adds && !by.isOperator && client.adminScopes.length > 0) return 'command_line_only' as const
    const outcome = await change(tx, client)
    if (outcome === 'not_found') return outcome
    const event = {
      type,
      outcome: 'success',
      reason: outcome === 'unchanged' ? outcome : undefined,
    } as RegistrySuccess
    await events.record(tx, { ...event, clientId: id, actor: by.actor }, by.context)
    return null
  })
  // The id of a client that is unknown is whatever was sent.
  const about = refused === 'command_line_only' ? { clientId: id } : {}
  if (refused) await refuse(deps, { type, outcome: 'failure', reason: refused, ...about } as Refusal, by)
}

// Those that change a state are the ones that may find it unchanged.
type RegistrySuccess = { type: 'client_disable'; outcome: 'success'; reason?: 'unchanged' }

async function permit(tx: Transaction, id: string, permissions: readonly Permission[]): Promise<void> {
  const named = permissions.map(({ resource }) => resource)
  const twice = named.findIndex((resource, index) => named.indexOf(resource) !== index)
  requireValid(twice < 0 ? [] : [{ pointer: `/permissions/${twice}/resource`, detail: 'must be named once' }])
  await tx.clientResource.deleteMany({ where: { clientId: id, resourceIdentifier: { notIn: named } } })
  const faults: Fault[] = []
  for (const [index, permission] of permissions.entries())
    faults.push(...(await permissionFaults(tx, id, permission, `/permissions/${index}`)))
  requireValid(faults)
}

/** Gives the permission, or says why it cannot be given. */
async function permissionFaults(
  tx: Transaction,
  clientId: string,
  { resource, scopes }: Permission,
  pointer: string,
): Promise<Fault[]> {
  const refused = await allow(tx, { clientId, identifier: resource, scopes })
  if (!refused) return []
  if (refused.missing === 'resource')
    return [{ pointer: `${pointer}/resource`, detail: 'must be a registered resource' }]
  const unknown = [refused.missing].flat().join(' ')
  return [
    {
      pointer: `${pointer}/scopes`,
      detail: `must be scopes of the resource, which does not have ${unknown}`,
    },
  ]
}

/** Names as they are stored, and every URI once. */
function tidy<Given extends ClientChanges>(given: Given): Given {
  const { name, redirectUris, postLogoutRedirectUris } = given
  return {
    ...given,
    ...(name === undefined ? {} : { name: spellName(name) }),
    ...(redirectUris ? { redirectUris: [...new Set(redirectUris)] } : {}),
    ...(postLogoutRedirectUris ? { postLogoutRedirectUris: [...new Set(postLogoutRedirectUris)] } : {}),
  }
}

const asNew = (client: RegisteredClient): NewClient => ({
  ...client,
  authMethod: client.authMethod as AuthMethod,
  grantTypes: client.grantTypes as GrantType[],
  jwks: (client.jwks as JSONWebKeySet | null) ?? undefined,
  idTokenAlg: client.idTokenAlg as SigningAlgorithm | null,
  adminScopes: client.adminScopes as AdminScope[],
})
