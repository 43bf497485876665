import type { UsesPlatform } from '../../platform/platform.ts'
import { afterCommit, type Transaction } from '../../platform/transact.ts'
import type { Events, RequestContext } from '../events/events.ts'
import { methodsOf } from '../factors/factors.ts'
import type { Clearing, Lockout } from '../lockout/lockout.ts'
import type { Mail } from '../mail/mail.ts'
import type { Tickets } from '../one-time/one-time.ts'
import type { FactorMethod } from '../reasons/reasons.ts'
import type { IssuedSession, Sessions } from '../sessions/sessions.ts'
import type { LockedUser, User, Users } from '../users/users.ts'
import { createStatement, type Found, type SignInMeans, type Statement } from './complete-statement.ts'
import type { Devices, DeviceToken } from './devices.ts'
import { type ReadAccount, readAccount, STANDING } from './read-account.ts'
import type { LimitSignIns } from './sign-in-limit.ts'

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

export interface PasswordGuess {
  /** Canonical. */
  email: string
  device: DeviceToken
  context: RequestContext
}

/** Completes sign-ins, for any kind of proof. */
export interface SignIn {
  /**
   * Counts a guess at a password, and resolves with the result of `check`, which is null for a wrong guess. A right
   * one is taken off the counts by what `check` does with `clearing`.
   * @throws `too_many_attempts` without checking; whatever `check` throws, and the guess does not count.
   */
  guessPassword<T extends object>(
    input: PasswordGuess,
    check: (account: ReadAccount, clearing: Clearing) => Promise<T | null>,
  ): Promise<T | null>
  /**
   * Starts a session for a user whose row is locked, remembers the device and mails the owner about a new one. If the
   * account has as many sessions as it may have, it ends the one that was used longest ago. Returns a ticket instead if the account has
   * a second factor that has not been proven. @throws `too_many_attempts` beyond the budget of the account's sign-ins.
   */
  complete(
    tx: Transaction,
    user: LockedUser,
    means: SignInMeans,
    context: RequestContext,
  ): Promise<SignedIn | SecondStepRequired>
  /**
   * The same in a transaction of its own: a single statement, unless the owner gets a mail or another session ends. Null
   * if the user has another security version by now, or is gone or disabled. If not null, the guess is taken off the
   * counts. @throws `too_many_attempts` as above.
   */
  completeAlone(
    user: Pick<User, 'id' | 'securityVersion'>,
    means: SignInMeans,
    context: RequestContext,
    clearing: Clearing,
  ): Promise<SignedIn | SecondStepRequired | null>
}

export interface SignInDeps extends UsesPlatform<'query' | 'transact' | 'clock'> {
  users: Pick<Users, 'lock'>
  sessions: Sessions
  tickets: Tickets
  lockout: Pick<Lockout, 'guessWithin'>
  events: Events
  mail: Mail
  devices: Devices
  limitSignIns: LimitSignIns
}

/** Seconds between the two steps of a sign-in. */
export const MFA_TICKET_TTL = 300

export function createSignIn(deps: SignInDeps): SignIn {
  const { query, transact, users, sessions, tickets, lockout, events, mail, clock, limitSignIns } = deps

  async function complete(
    tx: Transaction,
    user: LockedUser,
    means: SignInMeans,
    context: RequestContext,
    clearing?: Clearing,
  ): Promise<SignedIn | SecondStepRequired | null> {
    const statement = await createStatement(deps, user, means, context, clearing)
    const run = (full: boolean) => tx.$queryRaw<Found[]>(statement.sql({ full, newPlace: true }))
    let [found] = await run(false)
    if (found?.outcome === 'full') {
      await sessions.makeRoom(tx, user, context)
      ;[found] = await run(true)
    }
    if (!found) return null
    if (found.outcome === 'login' && found.is_new_place) {
      const data = { at: clock.now(), ip: context.ip, userAgent: context.userAgent }
      await mail.enqueue(tx, found, { template: 'new_device', data }, context)
    }
    return finish(statement, found, means, (effect) => afterCommit(tx, effect))
  }

  function finish(
    { session, signedIn, firstStep }: Statement,
    user: Found,
    { transport, amr }: SignInMeans,
    onCommit: (effect: () => void) => void,
  ): SignedIn | SecondStepRequired {
    if (user.outcome === 'login_first_step') {
      onCommit(() => events.count(firstStep))
      const ticket = { userId: user.id, passwordVersion: user.securityVersion, transport }
      return { mfaToken: tickets.issue('mfa', ticket, MFA_TICKET_TTL), methods: methodsOf(user) }
    }
    const issued = session.issue(user)
    onCommit(() => {
      events.count(signedIn)
      session.warm(issued)
    })
    return { issued, user, transport, mfaEnabled: amr.includes('mfa') }
  }

  return {
    guessPassword({ email, device, context }, check) {
      const presented = device.isNew ? null : { hash: device.hash, standing: STANDING }
      const guess = { what: 'password', account: email, context, device: presented } as const
      return lockout.guessWithin(guess, (counting) => readAccount(query, email, device, counting), check)
    },

    async complete(tx, user, means, context) {
      await limitSignIns(user.id)
      const completed = await complete(tx, user, means, context)
      if (!completed) throw new Error('the row of a locked user has changed')
      return completed
    },

    async completeAlone(user, means, context, clearing) {
      await limitSignIns(user.id)
      const statement = await createStatement(deps, user, means, context, clearing)
      const [found] = await query<Found>(statement.sql({ full: false, newPlace: false }))
      if (found?.outcome === 'login' || found?.outcome === 'login_first_step') {
        return finish(statement, found, means, (effect) => effect())
      }
      // A mail is queued, and other sessions end, in the transaction that starts the session. A locked user is waited for.
      return transact(async (tx) => {
        const { id, securityVersion } = user
        const locked = await users.lock(tx, id, { securityVersion })
        return locked && complete(tx, locked, means, context, clearing)
      })
    },
  }
}
