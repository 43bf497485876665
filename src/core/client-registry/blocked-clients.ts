import { block, describesItself, unblock } from '../clients/clients.ts'
import { allowedClientsAt } from '../grants/grants.ts'
import { Problem } from '../problems/problems.ts'
import { type By, type RegistryDeps, requireValid } from './act.ts'

const HOST = /^(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])$/

/**
 * Refuses a client that nobody registered everywhere, within a second, and ends its sessions. A host stands for all
 * clients whose metadata documents are there. @throws `validation_failed`, `revocation_pending`.
 */
export async function blockClient(deps: RegistryDeps, by: By, name: string): Promise<void> {
  const { transact, clock, events, sessions } = deps
  const isClient = describesItself(name)
  requireValid(
    isClient || (HOST.test(name) && !name.startsWith('client_'))
      ? []
      : [
          {
            pointer: '/client_id',
            detail: 'must be that of a client that nobody registered, or a host: disable a registered one',
          },
        ],
  )
  await transact(async (tx) => {
    const isNew = await block(tx, new Date(clock.now()), name)
    // Also if it is blocked already: more of its sessions may have been live than end at once.
    for (const clientId of isClient ? [name] : await allowedClientsAt(tx, name))
      await sessions.revoke(tx, { clientId }, 'ended_by_administrator')
    const event = { type: 'client_block', outcome: 'success', ...(isNew ? {} : UNCHANGED) } as const
    await events.record(tx, { ...event, clientId: name, actor: by.actor }, by.context)
  })
}

/** Accepts it again. @throws `not_found` if it is not blocked. */
export async function unblockClient(deps: RegistryDeps, by: By, name: string): Promise<void> {
  const { transact, events } = deps
  await transact(async (tx) => {
    if (!(await unblock(tx, name))) throw new Problem('not_found')
    const event = { type: 'client_unblock', outcome: 'success' } as const
    await events.record(tx, { ...event, clientId: name, actor: by.actor }, by.context)
  })
}

const UNCHANGED = { reason: 'unchanged' } as const
