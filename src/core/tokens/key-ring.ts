import { createPrivateKey, type KeyObject } from 'node:crypto'
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose'
import { type Background, repeat } from '../../platform/background.ts'
import { called } from '../../platform/command.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Secrets } from '../../platform/secrets.ts'

export interface SigningKey {
  kid: string
  alg: string
  privateKey: KeyObject
}

/** The signing keys in memory. Postgres stores them, encrypted. */
export interface KeyRing extends Background {
  /** The newest key that has been published for long enough to sign. */
  signer(): SigningKey
  /** The public key of a `kid`, while tokens signed with it may be valid. */
  verifier(kid: string): { key: CryptoKey; alg: string } | undefined
  /** The JWK set (RFC 7517 §5). */
  jwks(): { keys: JWK[] }
  /** Reads the keys again. If Postgres cannot be read, the keys in memory stay. */
  reload(): Promise<void>
}

export interface KeyRingDeps
  extends UsesPlatform<'db' | 'transact' | 'secrets' | 'clock' | 'log' | 'metrics'> {
  alg: string
  /** Seconds for which a retired key still verifies. */
  accessTokenTtl: number
  /** Milliseconds between two checks for new keys. */
  reloadMs?: number
}

const RELOAD_MS = 30_000
// An advisory lock, so that nodes that start together create only one key. No other lock may have this number.
const CREATION_LOCK = 7_271_001

/** Loads the key ring and creates the first key of `alg` if there is none. */
export async function openKeyRing(deps: KeyRingDeps): Promise<KeyRing> {
  const { db, transact, secrets, clock, alg, reloadMs = RELOAD_MS } = deps
  let signing: (SigningKey & { activatesAt: number })[] = []
  let verifying = new Map<string, { key: CryptoKey; alg: string; jwk: JWK; until: number }>()

  async function reload(): Promise<void> {
    const rows = await db.signingKey.findMany({ orderBy: { activatesAt: 'desc' } })
    const keep = (deps.accessTokenTtl + 60) * 1000
    const public_: typeof verifying = new Map()
    const private_: typeof signing = []
    for (const row of rows) {
      const until = row.retiredAt ? row.retiredAt.getTime() + keep : Number.POSITIVE_INFINITY
      if (until <= clock.now()) continue
      const jwk = { ...(row.publicJwk as JWK), kid: row.kid, alg: row.alg, use: 'sig' }
      const known = verifying.get(row.kid)
      const key = known?.key ?? ((await importJWK(jwk, row.alg)) as CryptoKey)
      public_.set(row.kid, { key, alg: row.alg, jwk, until })
      if (row.retiredAt) continue
      const held = signing.find((candidate) => candidate.kid === row.kid)
      const privateKey = held?.privateKey ?? unseal(row.kid, row.sealedPrivateJwk)
      private_.push({ kid: row.kid, alg: row.alg, privateKey, activatesAt: row.activatesAt.getTime() })
    }
    verifying = public_
    signing = private_
  }

  function unseal(kid: string, sealed: Uint8Array): KeyObject {
    return createPrivateKey({ key: JSON.parse(secrets.open('signing-key', kid, sealed)), format: 'jwk' })
  }

  async function ensureKey(): Promise<void> {
    const created = await newSigningKey(alg, secrets)
    await transact(async (tx) => {
      await tx.$queryRaw`SELECT pg_advisory_xact_lock(${CREATION_LOCK})::text`
      if ((await tx.signingKey.count({ where: { alg, retiredAt: null } })) > 0) return
      const now = new Date(clock.now())
      await tx.signingKey.create({ data: { ...created, createdAt: now, activatesAt: now } })
    })
  }

  await reload()
  if (!signing.some((key) => key.alg === alg)) {
    await ensureKey()
    await reload()
  }

  const reloader = repeat({
    task: 'key_ring',
    everyMs: reloadMs,
    run: reload,
    failure: { message: 'the signing keys could not be reloaded' },
    monitor: deps,
  })

  return {
    signer() {
      const now = clock.now()
      const key = signing.find((candidate) => candidate.alg === alg && candidate.activatesAt <= now)
      const chosen = key ?? signing.findLast((candidate) => candidate.alg === alg)
      if (!chosen) throw new Error(`there is no signing key: create one with "${called('keys rotate')}"`)
      return chosen
    },
    verifier(kid) {
      const found = verifying.get(kid)
      return found && found.until > clock.now() ? found : undefined
    },
    jwks: () => ({ keys: [...verifying.values()].map((entry) => entry.jwk) }),
    reload: reloader.runNow,
    start: reloader.start,
    stop: reloader.stop,
  }
}

/** Generates a key pair and encrypts its private key. */
export async function newSigningKey(alg: string, secrets: Secrets) {
  const pair = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 })
  const publicJwk = await exportJWK(pair.publicKey)
  const kid = await calculateJwkThumbprint(publicJwk)
  const sealedPrivateJwk = secrets.seal('signing-key', kid, JSON.stringify(await exportJWK(pair.privateKey)))
  return { kid, alg, publicJwk: publicJwk as object, sealedPrivateJwk }
}
