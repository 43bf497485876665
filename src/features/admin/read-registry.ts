import type { By, RegistryDeps } from '../../core/client-registry/client-registry.ts'
import { clientsAfter, findClient, findResource, resourcesAfter } from '../../core/clients/clients.ts'
import { Problem } from '../../core/problems/problems.ts'
import { cutPage, pageOf } from '../../http/cursor.ts'
import { clientDocument, resourceDocument } from '../../http/registry-documents.ts'

type PageQuery = { limit?: string; cursor?: string }

/** A page of the clients, newest first. @throws `validation_failed` when the cursor does not belong to this list. */
export async function listRegisteredClients({ db, events }: RegistryDeps, by: By, query: PageQuery) {
  const list = 'clients'
  const { limit, after } = pageOf(list, query)
  const rows = await clientsAfter(db, after, limit + 1)
  await events.record(db, { type: 'client_list', outcome: 'success', actor: by.actor }, by.context)
  const { page, next } = cutPage(list, rows, limit, (row) => row.createdAt)
  return { clients: page.map(clientDocument), next_cursor: next }
}

/** One client. @throws `not_found`. */
export async function showClient({ db, events }: RegistryDeps, by: By, id: string) {
  const client = await findClient(db, id)
  const about = { type: 'client_view', actor: by.actor } as const
  if (!client) {
    await events.record(db, { ...about, outcome: 'failure', reason: 'not_found' }, by.context)
    throw new Problem('not_found')
  }
  await events.record(db, { ...about, outcome: 'success', clientId: id }, by.context)
  return clientDocument(client)
}

/**
 * A page of the resources, newest first, or the one with an identifier.
 * @throws `validation_failed` when the cursor does not belong to this list.
 */
export async function listRegisteredResources(
  { db, events }: RegistryDeps,
  by: By,
  { identifier, ...query }: PageQuery & { identifier?: string },
) {
  const list = 'resources'
  const { limit, after } = pageOf(list, query)
  const rows =
    identifier === undefined
      ? await resourcesAfter(db, after, limit + 1)
      : [await findResource(db, identifier)].filter((found) => found !== null)
  await events.record(db, { type: 'resource_list', outcome: 'success', actor: by.actor }, by.context)
  const withIds = rows.map((row) => ({ ...row, id: row.identifier }))
  const { page, next } = cutPage(list, withIds, limit, (row) => row.createdAt)
  return { resources: page.map(resourceDocument), next_cursor: next }
}
