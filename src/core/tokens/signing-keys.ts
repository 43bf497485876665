import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'
import type { Queryable } from '../../platform/database.ts'
import { Prisma, type SigningKey } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { SigningAlgorithm } from '../../platform/signing-algorithms.ts'
import type { Transaction } from '../../platform/transact.ts'
import { askedAlgorithms } from '../clients/clients.ts'

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
  /** The server's own algorithm: that of its access tokens, and of whatever asks for no other. */
  alg: SigningAlgorithm
}

/**
 * Publishes a new key of one algorithm or, without `alg`, of each that is asked for. It signs in an hour, or with
 * `atOnce` now.
 */
export async function rotateKeys(
  deps: Changes,
  { atOnce, alg }: { atOnce: boolean; alg?: SigningAlgorithm | undefined },
): Promise<SigningKey[]> {
  return changeKeys(deps, async (tx, now) => {
    const algorithms = alg ? [alg] : await askedFor(deps, tx)
    const made: SigningKey[] = []
    for (const each of algorithms) made.push(await publish(deps, tx, each, now, atOnce ? 0 : PUBLISH_MS))
    return made
  })
}

/**
 * Creates a key of each algorithm that is asked for, unless one is in use. A key of the server's own signs at once only
 * if no other key can: verifiers know the keys of the former algorithm.
 */
export async function ensureKeys(deps: Changes): Promise<void> {
  await changeKeys(deps, async (tx, now) => {
    const inUse = await unretired(tx)
    const canSign = inUse.some(({ activatesAt }) => activatesAt <= now)
    for (const alg of await askedFor(deps, tx)) {
      if (inUse.some((key) => key.alg === alg)) continue
      await publish(deps, tx, alg, now, alg === deps.alg && canSign ? PUBLISH_MS : 0)
    }
  })
}

/**
 * Makes sure that a key of an algorithm exists. Without one that signs already, the first signs in an hour, or with
 * `atOnce` now. @returns when it signs, if that is still to come.
 */
export async function ensureKey(
  deps: Changes,
  alg: SigningAlgorithm,
  { atOnce }: { atOnce: boolean },
): Promise<Date | null> {
  return changeKeys(deps, async (tx, now) => {
    const [first] = (await unretired(tx)).filter((key) => key.alg === alg)
    if (!first) {
      const { activatesAt } = await publish(deps, tx, alg, now, atOnce ? 0 : PUBLISH_MS)
      return atOnce ? null : activatesAt
    }
    if (first.activatesAt <= now) return null
    if (!atOnce) return first.activatesAt
    await activate(tx, first, now)
    return null
  })
}

/** Stops signing with a key, which verifies until its last token has expired. @throws unless another key can sign. */
export async function retireKey(deps: Changes, kid: string): Promise<void> {
  await changeKeys(deps, async (tx, now) => {
    const retiring = await tx.signingKey.findUnique({ where: { kid, retiredAt: null } })
    const asked = await askedFor(deps, tx)
    const needed = new Set([deps.alg, ...asked.filter((alg) => alg === retiring?.alg)])
    for (const alg of needed) {
      const others = { kid: { not: kid }, alg, retiredAt: null, activatesAt: { lte: now } }
      if ((await tx.signingKey.count({ where: others })) === 0)
        throw new Error('no other key can sign yet: run "keys rotate" and wait until the new key signs')
    }
    if (!retiring) throw new Error('there is no such key, or it is already retired')
    await tx.signingKey.update({ where: { kid }, data: { retiredAt: now } })
  })
}

/**
 * Deletes a key that somebody may have copied: nodes refuse its tokens as soon as they miss it. If no other key can
 * sign in its place, the next one does so at once, or a new one.
 * @returns the key that signs from now on, if that has changed.
 */
export async function distrustKey(deps: Changes, kid: string): Promise<SigningKey | undefined> {
  return changeKeys(deps, async (tx, now) => {
    const stolen = await tx.signingKey.findUnique({ where: { kid } })
    if (!stolen) throw new Error('there is no such key')
    await tx.signingKey.delete({ where: { kid } })
    const alg = (await askedFor(deps, tx)).find((each) => each === stolen.alg) ?? deps.alg
    const keys = await unretired(tx)
    const isActive = (key: SigningKey) => key.activatesAt <= now
    const couldSign = isActive(stolen) && !stolen.retiredAt
    const able = keys.filter((key) => key.alg === alg)
    if (able.some(isActive) || ((!couldSign || alg !== stolen.alg) && keys.some(isActive))) return undefined
    return able[0] ? activate(tx, able[0], now) : publish(deps, tx, alg, now, 0)
  })
}

/**
 * Deletes every key that a restored backup holds: one of them may have been distrusted since. New ones sign at once. With
 * `apply: false` nothing changes. @returns the deleted keys.
 */
export async function distrustKeysOf(
  deps: Changes,
  backupOf: Date,
  { apply }: { apply: boolean },
): Promise<string[]> {
  return changeKeys(deps, async (tx, now) => {
    const stored = { createdAt: { lte: backupOf } }
    const keys = await tx.signingKey.findMany({ where: stored, select: { kid: true } })
    if (!apply) return keys.map(({ kid }) => kid)
    await tx.signingKey.deleteMany({ where: stored })
    const left = await unretired(tx)
    for (const alg of await askedFor(deps, tx)) {
      if (left.some((key) => key.alg === alg && key.activatesAt <= now)) continue
      await publish(deps, tx, alg, now, 0)
    }
    return keys.map(({ kid }) => kid)
  })
}

/** The algorithms that a key has to exist of; the server's own is the first. */
export const askedFor = async ({ alg }: Pick<Changes, 'alg'>, db: Queryable) => [
  ...new Set([alg, ...(await askedAlgorithms(db))]),
]

/** Those that may sign, now or later; the one that begins first comes first. */
const unretired = (tx: Transaction) =>
  tx.signingKey.findMany({ where: { retiredAt: null }, orderBy: { activatesAt: 'asc' } })

const activate = (tx: Transaction, { kid }: SigningKey, now: Date) =>
  tx.signingKey.update({ where: { kid }, data: { activatesAt: now } })

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

async function publish(
  { secrets }: Pick<Changes, 'secrets'>,
  tx: Transaction,
  alg: SigningAlgorithm,
  now: Date,
  untilSignsMs: number,
): Promise<SigningKey> {
  const activatesAt = new Date(now.getTime() + untilSignsMs)
  return tx.signingKey.create({ data: { ...(await newKey(secrets, alg)), createdAt: now, activatesAt } })
}

/** Generates a key pair and encrypts its private key. */
async function newKey(secrets: Changes['secrets'], alg: SigningAlgorithm) {
  const pair = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 })
  const publicJwk = await exportJWK(pair.publicKey)
  const kid = await calculateJwkThumbprint(publicJwk)
  const sealedPrivateJwk = secrets.seal('signing-key', kid, JSON.stringify(await exportJWK(pair.privateKey)))
  return { kid, alg, publicJwk: publicJwk as object, sealedPrivateJwk }
}
