import type { Database } from '../../platform/database.ts'

/** A message that waits or was given up, for the operator. */
export interface UnsentMessage {
  id: string
  /** `held`: it is due, but nothing of its kind is tried at present. */
  state: 'waiting' | 'held' | 'given_up'
  topic: string
  recipient: string
  attempts: number
  createdAt: Date
  /** When it is tried next; null once it was given up. */
  nextAttemptAt: Date | null
  /** When it is given up, or was. */
  endsAt: Date | null
  lastError: string | null
}

/** Up to `limit` waiting messages of a kind, next first, and up to `limit` that were given up, latest first. */
export async function listUnsent(
  db: Database,
  kind: string,
  now: number,
  limit: number,
): Promise<UnsentMessage[]> {
  const hold = await db.outboxHold.findUnique({ where: { kind } })
  const heldUntil = hold && hold.heldUntil.getTime() > now ? hold.heldUntil : null
  const waiting = await db.outboxMessage.findMany({
    where: { kind, sentAt: null, gaveUpAt: null },
    orderBy: { nextAttemptAt: 'asc' },
    take: limit,
  })
  const givenUp = await db.outboxMessage.findMany({
    where: { kind, sentAt: null, gaveUpAt: { not: null } },
    orderBy: { gaveUpAt: 'desc' },
    take: limit,
  })
  return [
    ...waiting.map((row): UnsentMessage => {
      const isHeld = heldUntil !== null && row.nextAttemptAt <= heldUntil
      const nextAttemptAt = isHeld ? heldUntil : row.nextAttemptAt
      const lastError = row.lastError ?? (isHeld ? (hold?.reason ?? null) : null)
      return {
        ...common(row),
        state: isHeld ? 'held' : 'waiting',
        nextAttemptAt,
        endsAt: row.expiresAt,
        lastError,
      }
    }),
    ...givenUp.map((row): UnsentMessage => {
      const { gaveUpAt: endsAt, lastError } = row
      return { ...common(row), state: 'given_up', nextAttemptAt: null, endsAt, lastError }
    }),
  ]
}

type Common = Pick<UnsentMessage, 'id' | 'topic' | 'recipient' | 'attempts' | 'createdAt'>

const common = ({ id, topic, recipient, attempts, createdAt }: Common): Common => ({
  id,
  topic,
  recipient,
  attempts,
  createdAt,
})
