import { uuidv7 } from 'uuidv7'
import type { Background } from '../../platform/background.ts'
import type { Queryable } from '../../platform/database.ts'
import type { Registration } from '../../platform/generated/client.ts'
import { hashOpaqueToken, newOpaqueToken } from '../../platform/opaque-token.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { Events, RequestContext } from '../events/events.ts'
import { preferredLocale } from '../languages/languages.ts'
import type { Lockout } from '../lockout/lockout.ts'
import type { Users } from '../users/users.ts'
import { createRegistrationMail, type RegistrationMailDeps } from './registration-mail.ts'
import { createUnverifiedAccounts, REGISTRATION_TTL } from './unverified-accounts.ts'

export { REGISTRATION_TTL } from './unverified-accounts.ts'
export type { Registration }

/** Seconds for which the link of a password reset is valid that makes an account. */
const RESET_TTL = 3600

export interface NewRegistration {
  /** Canonical. */
  email: string
  name: string | undefined
  passwordHash: string
}

/**
 * The owner of the table `registrations`. A registration is no account yet: anybody can register any address, any number
 * of times. It becomes an account when its own mailed link is used by the one who made it.
 */
export interface Registrations {
  /** Stores a registration. The token proves to later calls who made it. */
  create(
    tx: Transaction,
    registration: NewRegistration,
    context: RequestContext,
  ): Promise<{ id: string; token: string }>
  /** The registration of a mailed link, until it expires; with a `userId`, it has become an account. */
  findByLink(db: Queryable, link: string): Promise<Registration | null>
  /**
   * The latest registration of a canonical address that one of the tokens proves, unless it has expired or become an
   * account.
   */
  findByTokens(db: Queryable, email: string, tokens: readonly string[]): Promise<Registration | null>
  /** Whether one of the tokens is the one that was given to the maker of the registration. */
  isProof(registration: Registration, tokens: readonly string[]): boolean
  /**
   * Makes the account, and deletes the other registrations of the address. False when the registration has expired or
   * has been used, or when the address has an account.
   */
  complete(
    registration: Registration,
    account: { name: string | null; passwordHash: string },
    context: RequestContext,
  ): Promise<boolean>
  /**
   * Mails the address what waits for a confirmation: the registration with the id `only`, or all. Beyond a limit of mails
   * to the address, or asked for by the client, one mail follows later with all of them.
   * @param client the `clientKey` of the caller.
   */
  mail(tx: Transaction, email: string, client: string, only?: string): Promise<void>
  /** A link to set a password with which an address becomes an account; null unless somebody has registered it. */
  issueResetLink(tx: Transaction, email: string, context: RequestContext): Promise<string | null>
}

export interface RegistrationsDeps extends RegistrationMailDeps {
  users: Users
  lockout: Pick<Lockout, 'unlock'>
  events: Pick<Events, 'record'>
}

export function openRegistrations(deps: RegistrationsDeps): {
  registrations: Registrations
  background: readonly Background[]
} {
  const { transact, clock, users, lockout, events } = deps
  const mails = createRegistrationMail(deps)

  const row = (email: string, context: RequestContext, ttl: number) => ({
    id: uuidv7(),
    email,
    ip: context.ip,
    userAgent: context.userAgent ?? null,
    locale: preferredLocale(context.acceptLanguage),
    createdAt: new Date(clock.now()),
    expiresAt: new Date(clock.now() + ttl * 1000),
  })
  const live = () => ({ expiresAt: { gt: new Date(clock.now()) } })
  const waiting = () => ({ ...live(), userId: null })

  const registrations: Registrations = {
    async create(tx, { email, name, passwordHash }, context) {
      const token = newOpaqueToken()
      const data = { ...row(email, context, REGISTRATION_TTL), name: name ?? null, passwordHash }
      const { id } = await tx.registration.create({ data: { ...data, tokenHash: hashOpaqueToken(token) } })
      return { id, token }
    },
    findByLink: (db, link) =>
      db.registration.findUnique({ where: { linkHash: hashOpaqueToken(link), ...live() } }),
    findByTokens: (db, email, tokens) =>
      db.registration.findFirst({
        where: { tokenHash: { in: tokens.map(hashOpaqueToken) }, email, ...waiting() },
        orderBy: { id: 'desc' },
      }),
    isProof: ({ tokenHash }, tokens) =>
      tokenHash !== null &&
      tokens.some((token) => Buffer.compare(Buffer.from(tokenHash), hashOpaqueToken(token)) === 0),

    complete({ id, email, locale }, account, context) {
      return transact(async (tx) => {
        await mails.lock(tx, email)
        if ((await tx.registration.count({ where: { id, ...waiting() } })) === 0) return false
        // Of the request that proves who gets the account; a script that confirms for an app sends none.
        const language = preferredLocale(context.acceptLanguage) ?? locale
        const user = await users.create(tx, { email, locale: language, ...account })
        if (!user) return false
        await tx.registration.deleteMany({ where: { email, id: { not: id } } })
        await mails.cancel(tx, email)
        const used = { userId: user.id, passwordHash: null, sealedLink: null }
        await tx.registration.update({ where: { id }, data: used })
        // Failed guesses from before the address belonged to this account: nobody was notified of such a lock.
        await lockout.unlock(tx, { email })
        await events.record(tx, { type: 'verify_email', outcome: 'success', userId: user.id }, context)
        return true
      })
    },

    mail: mails.request,

    async issueResetLink(tx, email, context) {
      const pending = await tx.registration.count({
        where: { email, passwordHash: { not: null }, ...waiting() },
      })
      if (pending === 0) return null
      const link = newOpaqueToken()
      await tx.registration.create({
        data: { ...row(email, context, RESET_TTL), linkHash: hashOpaqueToken(link) },
      })
      return link
    },
  }

  return { registrations, background: [mails, createUnverifiedAccounts(deps)] }
}
