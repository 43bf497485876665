import type { ClientError } from '@ratchet/client'

const WORDS: Record<string, string> = {
  offline: 'The server cannot be reached. Check the connection and try again.',
  bad_response:
    'Something between you and the server answered for it. Is this a network that wants you to sign in?',
  cookies_blocked:
    'This browser kept no cookie, so it would sign you out within minutes. Allow cookies for this page.',
  invalid_credentials: 'The e-mail address or the password is wrong.',
  email_not_verified: 'Open the link that was mailed to you first.',
  mfa_invalid: 'This code is wrong or was used before.',
  too_many_attempts: 'Too many attempts. Wait a little and try again.',
  passkey_not_used: 'No passkey was used.',
}

/** An error for people. */
export function explain({ code, problem, message }: ClientError): string {
  if (code === 'validation_failed') return problem?.errors?.map(({ detail }) => detail).join('; ') ?? message
  if (code === 'password_too_weak') return 'This password is too easy to guess. Try a longer one.'
  return WORDS[code] ?? message
}

/** `Chrome on Linux`, for people. */
export function deviceOf(userAgent: string | null): string {
  const browser = /(Edg|OPR|Firefox|Chrome|Safari|curl)\w*\//.exec(userAgent ?? '')?.[1]
  const system = /(Android|iPhone|iPad|Windows|Mac OS|Linux)/.exec(userAgent ?? '')?.[1]
  if (!browser) return userAgent ?? 'An unknown program'
  const name = { Edg: 'Edge', OPR: 'Opera' }[browser] ?? browser
  return system ? `${name} on ${system}` : name
}

const ENDED: Record<string, string> = {
  logout: 'You have signed out.',
  logout_all: 'You have signed out on all devices.',
  revoked: 'This session was ended on another device of yours.',
  expired: 'You were away for a long time. Sign in again.',
  reuse_detected: 'Somebody may have copied your session, so it was ended. Look at your activity.',
  password_changed: 'Your password was changed, so you have to sign in again.',
  password_reset: 'Your password was reset, so you have to sign in again.',
}

export const signedOutBecause = (reason: string) =>
  ENDED[reason] ?? `Your session has ended (${reason.replaceAll('_', ' ')}).`
