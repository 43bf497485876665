import { Secret, TOTP } from 'otpauth'

/** The code that an authenticator app shows for a secret, `steps` half-minutes from `now`. */
export const totpCode = (secret: string, now: number, steps = 0): string =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: now + steps * 30_000 })
