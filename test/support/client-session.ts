import type { ClientPresenter, IssuedSession, SessionGrant } from '../../src/core/sessions/sessions.ts'
import type { Services } from '../../src/core/uses.ts'
import { Prisma } from '../../src/platform/generated/client.ts'

export interface ClientSessionOptions extends Partial<Omit<SessionGrant, 'parentId'>> {
  clientId?: string
  scope?: string
}

/** Begins a session of a third-party client in a user's own one, as a redeemed code does; null if it may not begin. */
export async function beginClientSession(
  { db, sessions }: Pick<Services, 'db' | 'sessions'>,
  parentId: string,
  { clientId = 'app', scope = 'openid', ...grant }: ClientSessionOptions = {},
): Promise<({ id: string } & IssuedSession) | null> {
  const parent = await sessions.find(db, parentId)
  const session = await sessions.begin(parent?.userId ?? '', {
    ...{
      clientId,
      scope,
      transport: 'body',
      amr: ['pwd'],
      context: { ip: '198.51.100.7', userAgent: undefined, requestId: 'request' },
    },
    grant: { parentId, resource: '', binding: '', home: 'home', absoluteExpiresAt: null, ...grant },
  })
  const [written] = await db.$queryRaw<{ id: string }[]>`
    WITH session AS (${session.insertion(Prisma.sql`TRUE`)}) SELECT id FROM session`
  if (!written) return null
  const issued = session.issue({ roles: [] })
  session.warm(issued)
  return { id: session.id, ...issued }
}

/** A public client on the network that its family lives on. */
export const atHome = (overrides: Partial<ClientPresenter> = {}): ClientPresenter => ({
  ...{ clientId: 'app', authenticated: false, proven: '', home: 'home', lateWindow: 1_800 },
  ...overrides,
})
