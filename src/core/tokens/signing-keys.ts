import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'
import { Prisma, type SigningKey } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'

// Longer than verifiers keep a JWK set: some read it every 15 minutes at most, also for an unknown `kid`.
const PUBLISH_MS = 60 * 60_000
// An advisory lock, so that nodes that start together create only one key. No other lock may have this number.
const CHANGE_LOCK = 7_271_001

// Retired keys that no token needs any more are left out, so that years of rotations cost nothing.
const CURRENT = Prisma.sql`retired_at IS NULL OR retired_at > statement_timestamp() - interval '3 days'`

/** SQL of an array: the keys in use, each as `kid`, a space, and what changes when it is activated or retired. */
export const keysInUse = Prisma.sql`ARRAY(
  SELECT kid || ' ' || extract(epoch FROM activates_at) || ' ' || coalesce(extract(epoch FROM retired_at)::text, '')
  FROM signing_keys WHERE ${CURRENT} ORDER BY kid)`

export type Changes = UsesPlatform<'transact' | 'secrets'> & {
  /** The algorithm of new keys. */
  alg: string
}

/** A new key is published for an hour before it signs, or with `atOnce` not at all. */
export async function rotateKeys(deps: Changes, { atOnce }: { atOnce: boolean }): Promise<SigningKey> {
  const key = await newKey(deps)
  return changeKeys(deps, (tx, now) => publish(tx, key, now, atOnce ? 0 : PUBLISH_MS))
}

/**
 * Creates a key of the algorithm unless one is in use. It signs at once only if no other key can: verifiers know the
 * keys of the former algorithm.
 */
export async function ensureKey(deps: Changes): Promise<void> {
  const key = await newKey(deps)
  await changeKeys(deps, async (tx, now) => {
    const inUse = await tx.signingKey.findMany({ where: { retiredAt: null } })
    if (inUse.some(({ alg }) => alg === deps.alg)) return
    const canSign = inUse.some(({ activatesAt }) => activatesAt <= now)
    await publish(tx, key, now, canSign ? PUBLISH_MS : 0)
  })
}

/** Stops signing with a key, which verifies until its last token has expired. @throws unless another key can sign. */
export async function retireKey(deps: Changes, kid: string): Promise<void> {
  await changeKeys(deps, async (tx, now) => {
    const others = { kid: { not: kid }, alg: deps.alg, retiredAt: null, activatesAt: { lte: now } }
    if ((await tx.signingKey.count({ where: others })) === 0)
      throw new Error('no other key can sign yet: run "keys rotate" and wait until the new key signs')
    const where = { kid, retiredAt: null }
    const { count } = await tx.signingKey.updateMany({ where, data: { retiredAt: now } })
    if (count === 0) throw new Error('there is no such key, or it is already retired')
  })
}

/**
 * Deletes a key that somebody may have copied: nodes refuse its tokens as soon as they miss it. If no other key can
 * sign, the next one does so at once, or a new one. @returns the key that signs from now on, if that has changed.
 */
export async function distrustKey(deps: Changes, kid: string): Promise<SigningKey | undefined> {
  const key = await newKey(deps)
  return changeKeys(deps, async (tx, now) => {
    const { count } = await tx.signingKey.deleteMany({ where: { kid } })
    if (count === 0) throw new Error('there is no such key')
    const [next] = await tx.signingKey.findMany({
      where: { retiredAt: null },
      orderBy: { activatesAt: 'asc' },
      take: 1,
    })
    if (!next) return publish(tx, key, now, 0)
    if (next.activatesAt <= now) return undefined
    return tx.signingKey.update({ where: { kid: next.kid }, data: { activatesAt: now } })
  })
}

/** One change at a time. It is dated by Postgres, because the clock of this machine may be wrong. */
function changeKeys<T>(
  { transact }: Changes,
  change: (tx: Transaction, now: Date) => Promise<T>,
): Promise<T> {
  return transact(async (tx) => {
    await tx.$queryRaw`SELECT pg_advisory_xact_lock(${CHANGE_LOCK})::text`
    const [time] = await tx.$queryRaw<[{ now: Date }]>`SELECT clock_timestamp() AS now`
    return change(tx, time.now)
  })
}

function publish(tx: Transaction, key: NewKey, now: Date, untilSignsMs: number): Promise<SigningKey> {
  const activatesAt = new Date(now.getTime() + untilSignsMs)
  return tx.signingKey.create({ data: { ...key, createdAt: now, activatesAt } })
}

type NewKey = Awaited<ReturnType<typeof newKey>>

/** Generates a key pair and encrypts its private key. */
async function newKey({ alg, secrets }: Pick<Changes, 'alg' | 'secrets'>) {
  const pair = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 })
  const publicJwk = await exportJWK(pair.publicKey)
  const kid = await calculateJwkThumbprint(publicJwk)
  const sealedPrivateJwk = secrets.seal('signing-key', kid, JSON.stringify(await exportJWK(pair.privateKey)))
  return { kid, alg, publicJwk: publicJwk as object, sealedPrivateJwk }
}
