import type { RequestContext } from '../../core/events/events.ts'
import type { Uses } from '../../core/uses.ts'

export type GrantsOfUses = Uses<
  'db' | 'transact' | 'clock' | 'grants' | 'sessions' | 'clients' | 'users' | 'events'
>

/** What each client may do for a user, the longest allowed first. */
export async function grantsOf({ db, clock, grants, sessions, clients }: GrantsOfUses, userId: string) {
  const now = new Date(clock.now())
  const [rows, uses] = await Promise.all([grants.list(db, userId), sessions.usesOfClients(db, userId, now)])
  const clientIds = [...new Set(rows.map(({ clientId }) => clientId))]
  return Promise.all(
    clientIds.map(async (clientId) => {
      const own = rows.filter((row) => row.clientId === clientId)
      const client = await clients.describe(clientId)
      const use = uses.get(clientId)
      const live = use?.live ?? 0
      return {
        client_id: clientId,
        client_name: client?.name ?? null,
        client_uri: client?.uri ?? null,
        permissions: own.map(({ resource, scopes }) => ({ resource: resource || null, scopes })),
        created_at: (own[0]?.createdAt ?? now).toISOString(),
        last_used_at: use?.lastUsedAt.toISOString() ?? null,
        live_sessions: live,
        ended: live > 0 ? null : (use?.lastEndedReason ?? null),
      }
    }),
  )
}

/** Takes back what a user allows a client, and ends its sessions. False if there was nothing. @throws `revocation_pending`. */
export function withdrawGrant(
  { transact, grants, sessions, users, events }: GrantsOfUses,
  userId: string,
  clientId: string,
  context: RequestContext,
): Promise<boolean> {
  return transact(async (tx) => {
    if (!(await users.lock(tx, userId))) return false
    const isWithdrawn = await grants.withdraw(tx, userId, clientId)
    const ended = await sessions.revoke(tx, { userId, clientId }, 'grant_withdrawn')
    if (!isWithdrawn && ended.length === 0) return false
    await events.record(tx, { type: 'grant_withdraw', outcome: 'success', userId, clientId }, context)
    return true
  })
}
