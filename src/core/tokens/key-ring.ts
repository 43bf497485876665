import { createPrivateKey, type KeyObject } from 'node:crypto'
import { type CryptoKey, importJWK, type JWK } from 'jose'
import { LONGEST_ACCEPTANCE } from '../../platform/access-token-times.ts'
import { type Background, repeat } from '../../platform/background.ts'
import { called } from '../../platform/command.ts'
import type { SigningKey as StoredKey } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { SigningAlgorithm } from '../../platform/signing-algorithms.ts'
import { Problem } from '../problems/problems.ts'
import type { Sessions } from '../sessions/sessions.ts'
import { askedFor, ensureKey, ensureKeys, keysInUse } from './signing-keys.ts'

export interface SigningKey {
  kid: string
  alg: string
  privateKey: KeyObject
}

export interface VerifyingKey {
  key: CryptoKey
  alg: string
}

/** The signing keys in memory. Postgres stores them, encrypted. */
export interface KeyRing extends Background {
  /**
   * The newest key of an algorithm that has been published for long enough to sign. Without an algorithm it is one of the
   * server's own or, until there is one, of the former one.
   * @throws `unavailable` while no key can be trusted.
   */
  signer(alg?: SigningAlgorithm | null): SigningKey
  /** The public key of a `kid`, while a token signed with it may be valid, or `graceMs` longer. */
  verifier(kid: string, graceMs?: number): VerifyingKey | undefined
  /** The same after the keys were read again, which happens at most once a second, whatever kids are asked for. */
  findVerifier(kid: string, graceMs?: number): Promise<VerifyingKey | undefined>
  /** The algorithms of the keys that sign, now or once they have been published for long enough. */
  algorithms(): string[]
  /** The JWK set (RFC 7517 §5). */
  jwks(): { keys: JWK[] }
  /**
   * Makes sure that a key of an algorithm exists. Without one that signs already, the first signs in an hour, or with
   * `atOnce` now. Resolves with the time when it signs, if that is still to come.
   */
  ensure(alg: SigningAlgorithm, options: { atOnce: boolean }): Promise<Date | null>
  /** Reads the keys again. If Postgres cannot be read, the keys in memory stay. */
  reload(): Promise<void>
}

export interface KeyRingDeps
  extends UsesPlatform<'db' | 'poll' | 'transact' | 'secrets' | 'clock' | 'log' | 'metrics'> {
  alg: SigningAlgorithm
  distrustedKeys: Sessions['distrustedKeys']
}

/** A key as it is in memory; times in milliseconds since the epoch. */
interface HeldKey extends VerifyingKey {
  kid: string
  jwk: JWK
  /** Undefined once it is retired. */
  privateKey: KeyObject | undefined
  activatesAt: number
  /** When its last token has expired; infinite until it is retired. */
  until: number
}

const RELOAD_PAUSE_MS = 1_000

/** Loads the key ring and creates the first key of each algorithm that is asked for, if there is none. */
export async function openKeyRing(deps: KeyRingDeps): Promise<KeyRing> {
  const { db, poll, secrets, clock, alg, distrustedKeys } = deps
  /** By `kid`; the newest first. */
  let held = new Map<string, HeldKey>()
  let readAt = Number.NEGATIVE_INFINITY
  /** The keys in use as the poll last told them, and as it told them before they were last read. */
  let told = ''
  let read = ''

  async function reload(): Promise<void> {
    const known = told
    const rows = await db.signingKey.findMany({ orderBy: { activatesAt: 'desc' } })
    const answeredAt = performance.now()
    const keys = await Promise.all(rows.map((row) => hold(row, held.get(row.kid))))
    held = new Map(keys.map((key) => [key.kid, key]))
    readAt = answeredAt
    read = known
  }

  async function hold({ kid, alg, ...row }: StoredKey, before: HeldKey | undefined): Promise<HeldKey> {
    const jwk = { ...(row.publicJwk as JWK), kid, alg, use: 'sig' }
    const key = before?.key ?? ((await importJWK(jwk, alg)) as CryptoKey)
    const privateKey = row.retiredAt ? undefined : (before?.privateKey ?? unseal(kid, row.sealedPrivateJwk))
    const until = row.retiredAt
      ? row.retiredAt.getTime() + LONGEST_ACCEPTANCE * 1000
      : Number.POSITIVE_INFINITY
    return { kid, alg, jwk, key, privateKey, activatesAt: row.activatesAt.getTime(), until }
  }

  function unseal(kid: string, sealed: Uint8Array): KeyObject {
    return createPrivateKey({ key: JSON.parse(secrets.open('signing-key', kid, sealed)), format: 'jwk' })
  }

  await reload()
  const asked = await deps.transact((tx) => askedFor(deps, tx))
  const [, ...others] = asked
  const able = new Set([...held.values()].filter(isSigning).map((key) => key.alg))
  if (asked.some((each) => !able.has(each))) {
    await ensureKeys(deps)
    await reload()
  }

  const reloader = repeat({
    task: 'key_ring',
    run: reload,
    failure: {
      message: 'the signing keys could not be reloaded',
      recovered: 'the signing keys were reloaded',
    },
    monitor: deps,
  })

  // For good: a `kid` is the hash of a key, so none comes back. What is published here reaches nodes without Postgres.
  const distrusted = new Set<string>()
  const unpublished = new Set<string>()
  distrustedKeys.onKey((kid) => distrusted.add(kid))

  poll.ask<string[]>({
    task: 'key_ring',
    sql: () => keysInUse,
    answer(inUse, askedAt) {
      // Asked before that, it may not list a key that was read.
      if (askedAt > readAt) distrustMissing(new Set(inUse.map((entry) => entry.split(' ')[0])))
      for (const kid of unpublished) {
        distrustedKeys.publishKey(kid).then(
          () => unpublished.delete(kid),
          () => {},
        )
      }
      told = inUse.join()
      if (told !== read) reloader.wake()
    },
  })

  /** Keys that somebody deleted while tokens of theirs might be valid. */
  function distrustMissing(inUse: ReadonlySet<string | undefined>): void {
    for (const { kid, until } of held.values()) {
      if (inUse.has(kid) || distrusted.has(kid) || until <= clock.now()) continue
      distrusted.add(kid)
      unpublished.add(kid)
    }
  }

  const trusted = () => [...held.values()].filter(({ kid }) => !distrusted.has(kid))

  function verifier(kid: string, graceMs = 0): VerifyingKey | undefined {
    const found = distrusted.has(kid) ? undefined : held.get(kid)
    return found && found.until + graceMs > clock.now() ? found : undefined
  }

  let reloadedAt = Number.NEGATIVE_INFINITY
  let reloading: Promise<void> = Promise.resolve()

  return {
    signer(wanted) {
      const now = clock.now()
      const able = trusted()
        .filter(isSigning)
        .filter((key) => !wanted || key.alg === wanted)
      const active = able.filter(({ activatesAt }) => activatesAt <= now)
      const own = active.find((key) => key.alg === alg)
      // The former algorithm is one that nobody else asks for.
      const former = active.find((key) => !others.some((each) => each === key.alg))
      const chosen = (wanted ? undefined : (own ?? former)) ?? active[0] ?? able.at(-1)
      if (chosen) return chosen
      const cause = new Error(
        `there is no ${wanted ?? 'signing'} key: create one with "${called('keys rotate --now')}"`,
      )
      throw new Problem('unavailable', { retryAfter: 1 }, { cause })
    },
    verifier,
    async findVerifier(kid, graceMs) {
      if (!verifier(kid, graceMs) && performance.now() - reloadedAt > RELOAD_PAUSE_MS) {
        reloadedAt = performance.now()
        reloading = reloader.runNow().catch(() => {})
      }
      await reloading
      return verifier(kid, graceMs)
    },
    algorithms: () => [
      ...new Set(
        trusted()
          .filter(isSigning)
          .map((key) => key.alg),
      ),
    ],
    jwks: () => ({
      keys: trusted()
        .filter(({ until }) => until > clock.now())
        .map(({ jwk }) => jwk),
    }),
    async ensure(wanted, options) {
      const from = await ensureKey(deps, wanted, options)
      await reloader.runNow()
      return from
    },
    reload: reloader.runNow,
    tasks: reloader.tasks,
    start: reloader.start,
    stop: reloader.stop,
  }
}

const isSigning = (key: HeldKey): key is HeldKey & SigningKey => key.privateKey !== undefined
