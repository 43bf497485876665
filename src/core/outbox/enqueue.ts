import { createHmac } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Secrets } from '../../platform/secrets.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { MessageKind, NewMessage } from './message-kind.ts'
import { GIVE_UP_AFTER_MS } from './retry.ts'
import { IS_WAITING, timestamp } from './rows.ts'

const HOUR_MS = 3_600_000
/** What waits for a cap, and says all that earlier messages said, leaves this long after the last one at the latest. */
const PACE_MS = 15 * 60_000

/** A message that was queued. */
export interface Queued {
  id: string
  /** When it is first tried, in milliseconds since the epoch. */
  dueAt: number
  /** Whether it waits for a cap. */
  isCapped: boolean
}

/** Queues a message: to be tried at once, or as soon as the caps allow it. */
export async function enqueue(
  { secrets, clock }: UsesPlatform<'secrets' | 'clock'>,
  kind: MessageKind,
  tx: Transaction,
  message: NewMessage,
): Promise<Queued> {
  const { topic, recipient, payload, lifetimeMs = Number.POSITIVE_INFINITY } = message
  const now = clock.now()
  const sources = message.sourceCap ? hashesOf(message.sourceCap.source, secrets, kind, message) : []
  const source = sources[0] ?? null
  const { dueAt, replacedId } = await findPlace(tx, kind, message, sources, now)
  const scheduledAt = new Date(dueAt)
  const contentOf = (id: string) => ({
    sealed: secrets.seal('outbox', id, JSON.stringify(payload)),
    source,
    createdAt: new Date(now),
    scheduledAt,
    nextAttemptAt: scheduledAt,
    expiresAt: new Date(Math.min(now + lifetimeMs, dueAt + GIVE_UP_AFTER_MS)),
  })
  const queued = { dueAt, isCapped: dueAt > now }
  if (replacedId) {
    // A node whose clock is ahead may have claimed it: what was tried keeps its content.
    const where = { id: replacedId, attempts: 0, sentAt: null, gaveUpAt: null }
    const { count } = await tx.outboxMessage.updateMany({ where, data: contentOf(replacedId) })
    if (count === 1) return { id: replacedId, ...queued }
  }
  const id = uuidv7()
  await tx.outboxMessage.create({ data: { id, kind: kind.name, topic, recipient, ...contentOf(id) } })
  return { id, ...queued }
}

interface Similar {
  id: string
  source: string | null
  /** When it left or is to leave, in milliseconds. */
  dueAt: number
  isUntried: boolean
}

/** More than the caps together let leave in an hour. */
const SIMILAR = 200

/** Finds the earliest time that keeps to the caps, and the message that the new one replaces. */
async function findPlace(
  tx: Transaction,
  kind: MessageKind,
  { topic, recipient, replaces, sourceCap }: NewMessage,
  sources: readonly string[],
  now: number,
): Promise<{ dueAt: number; replacedId: string | null }> {
  if (kind.maxPerHour === Number.POSITIVE_INFINITY && !sourceCap) return { dueAt: now, replacedId: null }
  // Held until the transaction ends: otherwise parallel requests would not count each other's messages.
  const lock = `outbox:${topic}:${recipient}`
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${lock}, 0))`
  // The latest first.
  const similar = await tx.$queryRaw<Similar[]>`
    SELECT id::text AS id, source, (extract(epoch FROM coalesce(scheduled_at, created_at)) * 1000)::float8 AS "dueAt",
      attempts = 0 AND ${IS_WAITING} AS "isUntried"
    FROM outbox_messages
    WHERE recipient = ${recipient} AND kind = ${kind.name} AND template = ${topic}
      AND coalesce(scheduled_at, created_at) > ${timestamp(now - HOUR_MS)}
    ORDER BY coalesce(scheduled_at, created_at) DESC LIMIT ${SIMILAR}::int`
  const replaced = replaces ? similar.findLast(({ dueAt, isUntried }) => isUntried && dueAt > now) : undefined
  const others = similar.filter((message) => message !== replaced)
  const ofSource = others.filter(({ source }) => source !== null && sources.includes(source))
  const capped = Math.max(freeAt(others, kind.maxPerHour), freeAt(ofSource, sourceCap?.perHour))
  // Otherwise strangers could keep back for an hour what its owner asks for.
  const paced = replaces && others[0] ? others[0].dueAt + PACE_MS : Number.POSITIVE_INFINITY
  const free = Math.max(now, Math.min(capped, paced))
  // Replacing a message does not delay what it has been waiting for.
  return { dueAt: Math.min(free, replaced?.dueAt ?? free), replacedId: replaced?.id ?? null }
}

/** An hour after the message that has to be an hour old, so that one more is not too many; 0 if there are few. */
function freeAt(latestFirst: readonly Similar[], perHour = Number.POSITIVE_INFINITY): number {
  const last = latestFirst[perHour - 1]
  return last ? last.dueAt + HOUR_MS : 0
}

/**
 * One hash for each secret, newest first: the source is an address. It is counted per topic and recipient, so its hashes
 * tell nothing across them.
 */
const hashesOf = (source: string, secrets: Secrets, kind: MessageKind, { topic, recipient }: NewMessage) =>
  secrets.derive('outbox-source').map((key) =>
    createHmac('sha256', key)
      .update(JSON.stringify([kind.name, topic, recipient, source]))
      .digest('base64url'),
  )
