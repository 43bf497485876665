import { isStoreUnavailable } from '../../platform/database.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { Events, RequestContext } from '../events/events.ts'
import { type Factors, methodsOf } from '../factors/factors.ts'
import type { Mail } from '../mail/mail.ts'
import type { Tickets } from '../one-time/one-time.ts'
import { Problem } from '../problems/problems.ts'
import type { FactorMethod } from '../reasons/reasons.ts'
import type { IssuedSession, Sessions } from '../sessions/sessions.ts'
import type { LockedUser, User } from '../users/users.ts'
import type { Devices, DeviceToken } from './devices.ts'

/** The circumstances of a sign-in, for any kind of proof. */
export interface SignInMeans {
  /** The client and the scope of the session. */
  clientId: string
  scope: string
  transport: 'cookie' | 'body'
  device: DeviceToken
  /** Whether the device has signed in to the account before. */
  isKnown: boolean
  /** Authentication methods (RFC 8176); with `mfa` no second factor is asked for. */
  amr: readonly string[]
}

/** A complete sign-in. */
export interface SignedIn {
  issued: IssuedSession
  user: User
  transport: 'cookie' | 'body'
  mfaEnabled: boolean
}

/** Half of a sign-in: the ticket allows the second step, with one of the methods. */
export interface SecondStepRequired {
  mfaToken: string
  methods: readonly FactorMethod[]
}

/** Completes sign-ins, for any kind of proof. */
export interface SignIn {
  /**
   * Starts a session for a user whose row is locked, remembers the device and mails the owner about a new one. Returns
   * a ticket instead if the account has a second factor that has not been proven.
   */
  complete(
    tx: Transaction,
    user: LockedUser,
    means: SignInMeans,
    context: RequestContext,
  ): Promise<SignedIn | SecondStepRequired>
  /** Ends the session of the token that the client still had: a sign-in always starts a new family. */
  endPrevious(refreshToken: string | undefined, context: RequestContext): Promise<void>
}

export interface SignInDeps extends UsesPlatform<'clock'> {
  sessions: Sessions
  factors: Factors
  tickets: Tickets
  events: Events
  mail: Mail
  devices: Devices
}

/** Seconds between the two steps of a sign-in. */
export const MFA_TICKET_TTL = 300

export function createSignIn(deps: SignInDeps): SignIn {
  const { sessions, factors, tickets, events, mail, devices, clock } = deps

  /**
   * Whether neither this address nor this user agent belongs to an earlier session: a client that keeps no device token
   * is recognized by them. The first sign-in to an account is never new.
   */
  async function isNewPlace(tx: Transaction, userId: string, context: RequestContext): Promise<boolean> {
    const { earlier, here } = await sessions.history(tx, userId, context)
    return earlier && !here
  }

  return {
    async complete(tx, user, means, context) {
      const { clientId, scope, transport, device, isKnown, amr } = means
      const { id: userId } = user
      const isMultiFactor = amr.includes('mfa')
      const methods = isMultiFactor ? [] : methodsOf(await factors.of(tx, userId))
      if (methods.length > 0) {
        const ticket = { userId, passwordVersion: user.securityVersion, transport }
        await events.record(tx, { type: 'login_first_step', outcome: 'success', userId }, context)
        return { mfaToken: tickets.issue('mfa', ticket, MFA_TICKET_TTL), methods }
      }
      const isNews = !isKnown && (await isNewPlace(tx, userId, context))
      const issued = await sessions.start(tx, user, { clientId, scope, transport, amr, context })
      await devices.remember(tx, user, device)
      const sessionId = issued.claims.sid
      await events.record(tx, { type: 'login', outcome: 'success', userId, sessionId }, context)
      if (isNews) {
        const data = { at: clock.now(), ip: context.ip, userAgent: context.userAgent }
        await mail.enqueue(tx, user.email, { template: 'new_device', data })
      }
      return { issued, user, transport, mfaEnabled: isMultiFactor }
    },

    async endPrevious(refreshToken, context) {
      const token = refreshToken ? sessions.parse(refreshToken) : null
      if (!token) return
      try {
        await sessions.end({ familyHash: token.familyHash }, 'signed_in_again', 'session_end', context)
      } catch (error) {
        // If the ledger has it, the reconciler completes it. A new sign-in must not fail because of an old session.
        if (!(error instanceof Problem) && !isStoreUnavailable(error)) throw error
      }
    },
  }
}
