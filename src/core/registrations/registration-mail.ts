import { uuidv7 } from 'uuidv7'
import { type Background, repeat } from '../../platform/background.ts'
import { clientKey } from '../../platform/client-key.ts'
import { Prisma, type Registration } from '../../platform/generated/client.ts'
import { hashOpaqueToken, newOpaqueToken } from '../../platform/opaque-token.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { Links, Mail } from '../mail/mail.ts'
import type { Users } from '../users/users.ts'

/** Mails about registrations, limited for each address without ever losing one. */
export interface RegistrationMail extends Background {
  request(tx: Transaction, email: string, client: string, only?: string): Promise<void>
  /** Drops the mail that waits. The caller holds the lock. */
  cancel(tx: Transaction, email: string): Promise<void>
  /** Held until the transaction ends, so that requests for one address see each other's rows. */
  lock(tx: Transaction, email: string): Promise<void>
}

export interface RegistrationMailDeps
  extends UsesPlatform<'transact' | 'poll' | 'secrets' | 'clock' | 'log' | 'metrics'> {
  users: Pick<Users, 'findByEmail'>
  mail: Mail
  links: Pick<Links, 'verifyEmail' | 'forgotPassword'>
}

const HOUR_MS = 3_600_000
/** Mails an hour that leave at once: to one address, and to one address for one client. */
const AT_ONCE = { address: 5, client: 3 }
/** Beyond that, milliseconds between two mails to an address. */
const PACE_MS = 15 * 60_000
/** The most registrations that one mail lists. */
const LISTED = 20
/** More than this are not read: a client that registers an address so often has only its newest ones listed. */
const READ = 1_000
const BATCH = 20

interface Sent {
  sent: number
  mine: number
  last: Date | null
  waits: boolean | null
}

export function createRegistrationMail(deps: RegistrationMailDeps): RegistrationMail {
  const { transact, poll, secrets, clock, users, mail, links } = deps

  const lock = async (tx: Transaction, email: string) => {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`registrations:${email}`}, 0))`
  }

  async function request(tx: Transaction, email: string, client: string, only?: string): Promise<void> {
    await lock(tx, email)
    const now = clock.now()
    const since = new Date(now - HOUR_MS)
    const [found] = await tx.$queryRaw<Sent[]>`
      SELECT count(*) FILTER (WHERE sent_at > ${since})::int AS sent,
        count(*) FILTER (WHERE sent_at > ${since} AND client = ${client})::int AS mine,
        max(sent_at) AS last, bool_or(sent_at IS NULL) AS waits
      FROM registration_mails WHERE email = ${email} AND due_at > ${new Date(now - 2 * HOUR_MS)}`
    // The mail that waits will list everything.
    if (!found || found.waits) return
    const leavesNow = found.sent < AT_ONCE.address && found.mine < AT_ONCE.client
    const due = leavesNow ? now : Math.max(now, (found.last?.getTime() ?? now) + PACE_MS)
    const sentAt = leavesNow ? new Date(now) : null
    await tx.registrationMail.create({ data: { id: uuidv7(), email, client, dueAt: new Date(due), sentAt } })
    if (leavesNow) await send(tx, email, only)
  }

  async function send(tx: Transaction, email: string, only?: string): Promise<void> {
    const now = new Date(clock.now())
    const waiting = await tx.registration.findMany({
      where: {
        email,
        userId: null,
        passwordHash: { not: null },
        expiresAt: { gt: now },
        ...(only ? { id: only } : {}),
      },
      orderBy: [{ mailedAt: { sort: 'asc', nulls: 'first' } }, { createdAt: 'desc' }],
      take: READ,
    })
    const listed = inTurns(waiting).slice(0, LISTED)
    if (listed.length === 0) return
    await tx.registration.updateMany({
      where: { id: { in: listed.map(({ id }) => id) } },
      data: { mailedAt: now },
    })
    const owner = await users.findByEmail(tx, email)
    if (owner) {
      const data = { resetLink: links.forgotPassword() }
      return mail.enqueue(tx, owner, { template: 'already_registered', data })
    }
    const registrations = []
    for (const registration of listed) {
      registrations.push({
        link: links.verifyEmail(await linkOf(tx, registration)),
        at: registration.createdAt.getTime(),
        ip: registration.ip ?? undefined,
        userAgent: registration.userAgent ?? undefined,
      })
    }
    const lifetimes = listed.map(({ expiresAt }) => expiresAt.getTime() - now.getTime())
    const minutes = Math.floor(Math.min(...lifetimes) / 60_000)
    const { locale } = listed[0] as Registration
    const content = { template: 'confirm_registration', data: { registrations, minutes } } as const
    await mail.enqueue(tx, { email, locale }, content, { lifetimeMs: Math.max(...lifetimes) })
  }

  /** The link that was mailed before, or the first one. A new one if no secret opens the old one any more. */
  async function linkOf(tx: Transaction, { id, sealedLink }: Registration): Promise<string> {
    try {
      if (sealedLink) return secrets.open('registration-link', id, sealedLink)
    } catch {
      // The secret was removed from APP_SECRETS within a day.
    }
    const link = newOpaqueToken()
    const data = { linkHash: hashOpaqueToken(link), sealedLink: secrets.seal('registration-link', id, link) }
    await tx.registration.update({ where: { id }, data })
    return link
  }

  /** Sends the mails whose time has come. */
  async function sendDue(signal: AbortSignal): Promise<void> {
    for (let count = BATCH; count === BATCH && !signal.aborted; ) {
      const due = await transact((tx) =>
        tx.registrationMail.findMany({
          where: { sentAt: null, dueAt: { lte: new Date(clock.now()) } },
          orderBy: { dueAt: 'asc' },
          take: BATCH,
        }),
      )
      count = due.length
      for (const { id, email } of due) {
        await transact(async (tx) => {
          await lock(tx, email)
          // Another node may have sent it by now.
          const claim = { where: { id, sentAt: null }, data: { sentAt: new Date(clock.now()) } }
          if ((await tx.registrationMail.updateMany(claim)).count === 1) await send(tx, email)
        })
      }
    }
  }

  const worker = repeat({
    task: 'registration_mail',
    run: sendDue,
    failure: { message: 'mails about registrations cannot be sent' },
    monitor: deps,
  })
  poll.ask<boolean>({
    task: 'registration_mail',
    sql: () => Prisma.sql`EXISTS (
      SELECT FROM registration_mails WHERE sent_at IS NULL AND due_at <= ${new Date(clock.now()).toISOString()}::timestamptz)`,
    answer(isDue) {
      if (isDue) worker.wake()
    },
  })

  return {
    request,
    lock,
    async cancel(tx, email) {
      await tx.registrationMail.deleteMany({ where: { email, sentAt: null } })
    },
    tasks: worker.tasks,
    start: worker.start,
    stop: worker.stop,
  }
}

/** The first of each client, then the second of each, so that no client crowds out another. */
function inTurns<R extends Pick<Registration, 'ip'>>(registrations: readonly R[]): R[] {
  const turns = new Map<string, number>()
  const withTurn = registrations.map((registration) => {
    const client = registration.ip ? clientKey(registration.ip) : ''
    const turn = turns.get(client) ?? 0
    turns.set(client, turn + 1)
    return { registration, turn }
  })
  return withTurn.sort((a, b) => a.turn - b.turn).map(({ registration }) => registration)
}
