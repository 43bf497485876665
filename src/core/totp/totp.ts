import type { Queryable } from '../../platform/database.ts'

/** Authenticator apps (RFC 6238): SHA-1, six digits, 30 seconds, one step of tolerance either way. */
export interface Totp {
  /**
   * A new secret that counts once `confirm` has seen a code of it; replaces one that was not confirmed.
   * Null when an authenticator app is in use already.
   */
  enrol(
    tx: Queryable,
    user: { id: string; email: string },
  ): Promise<{ secret: string; otpauthUri: string; qrSvg: string } | null>
  /** Turns the enrolled secret on; false when there is none, or the code does not fit. */
  confirm(tx: Queryable, userId: string, code: string): Promise<boolean>
  enabled(db: Queryable, userId: string): Promise<boolean>
  /** Whether the code fits; a code, and every one before it, works once, also in parallel. */
  verify(tx: Queryable, userId: string, code: string): Promise<boolean>
  /** False when there is none. */
  disable(tx: Queryable, userId: string): Promise<boolean>
}
