import { Secret, TOTP } from 'otpauth'
import { renderSVG } from 'uqr'
import type { Clock } from '../../platform/clock.ts'
import { shownAddress } from '../../platform/email-address.ts'
import type { Secrets } from '../../platform/secrets.ts'
import type { Transaction } from '../../platform/transact.ts'
import { readTypedCode } from '../../platform/typed-code.ts'
import type { LockedUser } from '../users/users.ts'

/** Authenticator apps (RFC 6238): SHA-1, six digits, 30 seconds, a tolerance of one step in either direction. */
export interface Totp {
  /**
   * Creates a secret, which takes effect when `confirm` gets a code from it within an hour. Replaces a secret that
   * was not confirmed. Null when the account already uses an authenticator app.
   */
  enrol(
    tx: Transaction,
    user: LockedUser,
  ): Promise<{ secret: string; otpauthUri: string; qrSvg: string } | null>
  /** Turns the enrolled secret on and uses the code up. Null without an enrolment, false for a wrong code. */
  confirm(tx: Transaction, user: LockedUser, code: string): Promise<boolean | null>
  /** Deletes an enrolment that was not confirmed. */
  abandon(tx: Transaction, user: LockedUser): Promise<void>
  /** Whether the code is right. It uses up this code and all earlier ones, also when requests run in parallel. */
  verify(tx: Transaction, userId: string, code: string): Promise<boolean>
  /** False when the account has no authenticator app. */
  disable(tx: Transaction, user: LockedUser): Promise<boolean>
}

// Every authenticator app supports these; some ignore the URI's parameters and assume exactly these.
const KIND = { algorithm: 'SHA1', digits: 6, period: 30 } as const
const WINDOW = 1
// RFC 4226 §4, R6.
const SECRET_BYTES = 20
// Somebody who saw a secret long ago must not be able to turn it on later with a stolen session.
const ENROL_MS = 3_600_000
// With a longer label the QR code becomes too fine for a phone's camera, and finally too small for its data.
const LABEL_LENGTH = 64
const QR = { ecc: 'M', border: 4 } as const

export function createTotp(deps: { secrets: Secrets; clock: Clock; appName: string }): Totp {
  const { secrets, clock, appName } = deps

  /** The time step that the code belongs to; null when it is wrong. Compares in constant time. */
  function stepOf(userId: string, sealedSecret: Uint8Array, typed: string): number | null {
    const token = readTypedCode(typed)
    if (token === null || !/^[0-9]{6}$/.test(token)) return null
    const secret = Secret.fromBase32(secrets.open('totp', userId, sealedSecret))
    const timestamp = clock.now()
    const delta = TOTP.validate({ ...KIND, secret, token, timestamp, window: WINDOW })
    return delta === null ? null : TOTP.counter({ period: KIND.period, timestamp }) + delta
  }

  return {
    async enrol(tx, { id, email }) {
      const secret = new Secret({ size: SECRET_BYTES })
      const sealed = secrets.seal('totp', id, secret.base32)
      const stored = await tx.$executeRaw`
        INSERT INTO totp_factors AS t (user_id, sealed_secret, created_at)
        VALUES (${id}::uuid, ${sealed}, ${new Date(clock.now())})
        ON CONFLICT (user_id) DO UPDATE SET sealed_secret = EXCLUDED.sealed_secret,
          created_at = EXCLUDED.created_at
        WHERE t.confirmed_at IS NULL`
      if (stored === 0) return null
      const otpauthUri = new TOTP({
        ...KIND,
        secret,
        issuer: issuerOf(appName),
        label: labelOf(shownAddress(email)),
      }).toString()
      return { secret: secret.base32, otpauthUri, qrSvg: renderSVG(otpauthUri, QR) }
    },

    async confirm(tx, { id: userId }, code) {
      const createdAt = { gt: new Date(clock.now() - ENROL_MS) }
      const factor = await tx.totpFactor.findUnique({ where: { userId, confirmedAt: null, createdAt } })
      if (!factor) return null
      const { sealedSecret } = factor
      const lastStep = stepOf(userId, sealedSecret, code)
      if (lastStep === null) return false
      // Only the secret that was checked: another one may have been enrolled in the meantime.
      const { count } = await tx.totpFactor.updateMany({
        where: { userId, confirmedAt: null, sealedSecret },
        data: { confirmedAt: new Date(clock.now()), lastStep },
      })
      return count === 1
    },

    async abandon(tx, { id: userId }) {
      await tx.totpFactor.deleteMany({ where: { userId, confirmedAt: null } })
    },

    async verify(tx, userId, code) {
      const factor = await tx.totpFactor.findUnique({ where: { userId, confirmedAt: { not: null } } })
      if (!factor) return false
      const step = stepOf(userId, factor.sealedSecret, code)
      if (step === null) return false
      const used = await tx.$executeRaw`
        UPDATE totp_factors SET last_step = ${step}
        WHERE user_id = ${userId}::uuid AND confirmed_at IS NOT NULL AND last_step < ${step}
          AND sealed_secret = ${factor.sealedSecret}`
      return used === 1
    },

    async disable(tx, { id: userId }) {
      const { count } = await tx.totpFactor.deleteMany({ where: { userId, confirmedAt: { not: null } } })
      return count === 1
    },
  }
}

// A colon, escaped or not, would separate issuer and account (Key URI format).
const issuerOf = (appName: string) => appName.replaceAll(':', '')
/** Cuts whole characters: half of a surrogate pair has no UTF-8. */
function labelOf(email: string): string {
  const characters = [...email]
  return characters.length <= LABEL_LENGTH ? email : `${characters.slice(0, LABEL_LENGTH - 1).join('')}…`
}
