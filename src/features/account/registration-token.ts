import type { FastifyReply } from 'fastify'
import { REGISTRATION_TTL } from '../../core/registrations/registrations.ts'
import type { Uses } from '../../core/uses.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'

/** Lets the browser prove later that it has registered. */
export function keepRegistrationToken(
  reply: FastifyReply,
  { cookies, clock }: { cookies: SessionCookies } & Uses<'clock'>,
  token: string,
): void {
  const now = clock.now()
  cookies.registration.set(reply, token, now + REGISTRATION_TTL * 1000, now)
}
