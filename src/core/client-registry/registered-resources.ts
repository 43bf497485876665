import { spellName } from '../../platform/name.ts'
import type { SigningAlgorithm } from '../../platform/signing-algorithms.ts'
import type { Transaction } from '../../platform/transact.ts'
import {
  changeResource,
  createResource,
  deleteResource,
  findClient,
  findResource,
  isClientId,
  type NewResource,
  type RegisteredResource,
  type ResourceChanges,
  resourceFaults,
  type TokenType,
} from '../clients/clients.ts'
import { Problem } from '../problems/problems.ts'
import { type By, type RegistryDeps, refuse, requireKey, requireValid } from './act.ts'

/** Registers an API that accepts access tokens. @throws `validation_failed`, `resource_exists`. */
export async function registerResource(deps: RegistryDeps, by: By, given: NewResource): Promise<void> {
  const { transact, clock, events, ownAudiences } = deps
  const resource = { ...given, name: nameOf(given) }
  requireValid(resourceFaults(resource, ownAudiences))
  await requireKey(deps, resource.alg, { atOnce: true })
  await transact(async (tx) => {
    await requireServer(tx, resource)
    const isTaken = await isClientId(tx, resource.identifier)
    requireValid(isTaken ? [{ pointer: '/identifier', detail: 'is the id of a client' }] : [])
    if (!(await createResource(tx, new Date(clock.now()), resource))) throw new Problem('resource_exists')
    const event = { type: 'resource_create', outcome: 'success', resource: resource.identifier } as const
    await events.record(tx, { ...event, actor: by.actor }, by.context)
  })
}

/**
 * Changes what is given. Tokens that exist keep what they have.
 * @throws `not_found`, `validation_failed`, `signing_key_waits`.
 */
export async function changeRegisteredResource(
  deps: RegistryDeps,
  by: By,
  identifier: string,
  given: ResourceChanges,
): Promise<void> {
  const { db, transact, events, ownAudiences } = deps
  const type = 'resource_change'
  const known = await findResource(db, identifier)
  if (!known) return refuse(deps, { type, outcome: 'failure', reason: 'not_found' }, by)
  const changes =
    given.name === undefined ? given : { ...given, name: nameOf({ identifier, name: given.name }) }
  requireValid(resourceFaults({ ...asNew(known), ...changes }, ownAudiences))
  if (changes.alg !== known.alg) await requireKey(deps, changes.alg, { atOnce: false })
  await transact(async (tx) => {
    await requireServer(tx, changes)
    await changeResource(tx, identifier, changes)
    await events.record(tx, { type, outcome: 'success', resource: identifier, actor: by.actor }, by.context)
  })
}

/** Removes a resource: no more tokens are issued for it. @throws `not_found`. */
export async function removeResource(deps: RegistryDeps, by: By, identifier: string): Promise<void> {
  const { transact, events } = deps
  const type = 'resource_delete'
  const isDone = await transact(async (tx) => {
    if (!(await deleteResource(tx, identifier))) return false
    await events.record(tx, { type, outcome: 'success', resource: identifier, actor: by.actor }, by.context)
    return true
  })
  if (!isDone) await refuse(deps, { type, outcome: 'failure', reason: 'not_found' }, by)
}

async function requireServer(tx: Transaction, { serverId }: ResourceChanges): Promise<void> {
  const isMissing = serverId && !(await findClient(tx, serverId))
  requireValid(isMissing ? [{ pointer: '/server', detail: 'must be the id of a client' }] : [])
}

/** A resource without another name has its identifier's. */
const nameOf = ({ identifier, name }: Pick<NewResource, 'identifier' | 'name'>) =>
  name === identifier ? name : spellName(name)

const asNew = (resource: RegisteredResource): NewResource => ({
  ...resource,
  typ: resource.typ as TokenType,
  alg: resource.alg as SigningAlgorithm | null,
})
