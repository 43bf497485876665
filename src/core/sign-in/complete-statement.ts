import { Prisma } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { AuditEvent, Events, RequestContext } from '../events/events.ts'
import { type AccountFactors, selectFactors } from '../factors/factors.ts'
import type { Clearing } from '../lockout/lockout.ts'
import { type BegunSession, isNewPlace, type Sessions } from '../sessions/sessions.ts'
import { selectLocked, type User } from '../users/users.ts'
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

/**
 * What the statement found and did. It did nothing for `full`, because other sessions have to end first, and for
 * `new_place`, because the owner has to get a mail.
 */
export type Found = User &
  AccountFactors & { outcome: 'login' | 'login_first_step' | 'full' | 'new_place'; is_new_place: boolean }

/** What the statement may do; if not, it tells. */
export interface Allowed {
  full: boolean
  newPlace: boolean
}

export interface Statement {
  sql(allowed: Allowed): Prisma.Sql
  session: BegunSession
  /** The events of the two outcomes that write something. */
  signedIn: AuditEvent
  firstStep: AuditEvent
}

const userId = Prisma.sql`account.id`
const createdAt = Prisma.sql`account."createdAt"`
const NO_FACTORS = Prisma.sql`
  SELECT FALSE AS totp, 0 AS passkeys, 0 AS "recoveryCodes", FALSE AS has_second_factor`
const COMPLETED = Prisma.sql`EXISTS (SELECT FROM result WHERE outcome = 'login')`
const PROVEN = Prisma.sql`EXISTS (SELECT FROM result WHERE outcome IN ('login', 'login_first_step'))`

export interface StatementDeps extends UsesPlatform<'clock'> {
  sessions: Pick<Sessions, 'begin'>
  events: Events
  devices: Devices
}

/**
 * One statement that locks the user, looks up factors and earlier sessions, and writes what the result requires. It
 * returns no row if the user has changed, or another transaction has locked it.
 */
export async function createStatement(
  { sessions, events, devices, clock }: StatementDeps,
  user: Pick<User, 'id' | 'securityVersion'>,
  { isKnown, device, ...start }: SignInMeans,
  context: RequestContext,
  clearing: Clearing | undefined,
): Promise<Statement> {
  const session = await sessions.begin(user.id, { ...start, context })
  const signedIn = { type: 'login', outcome: 'success', userId: user.id, sessionId: session.id } as const
  const firstStep = { type: 'login_first_step', outcome: 'success', userId: user.id } as const
  const isMultiFactor = start.amr.includes('mfa')
  const newPlace = isKnown ? Prisma.sql`FALSE` : isNewPlace({ id: userId, createdAt }, context, clock.now())
  const remembering = devices.remembering(user.id, device, COMPLETED)
  const sql = (allowed: Allowed) => Prisma.sql`
    WITH account AS MATERIALIZED (${selectLocked(user)}),
    situation AS MATERIALIZED (
      SELECT factors.*, ${newPlace} AS is_new_place, ${session.isFull} AS is_full
      FROM account, LATERAL (${isMultiFactor ? NO_FACTORS : selectFactors(userId)}) AS factors
    ), result AS MATERIALIZED (
      SELECT *, CASE WHEN has_second_factor THEN 'login_first_step'
        WHEN is_full AND NOT ${allowed.full}::boolean THEN 'full'
        WHEN is_new_place AND NOT ${allowed.newPlace}::boolean THEN 'new_place' ELSE 'login' END AS outcome
      FROM situation
    ), session AS (${session.insertion(COMPLETED)}),
    device AS (${remembering.inserted}),
    forgotten_devices AS (${remembering.forgotten}),
    event AS (${events.insertion(
      [signedIn, firstStep],
      context,
      Prisma.sql`r.type = (SELECT outcome FROM result)`,
    )})
    ${clearing ? Prisma.sql`, ${clearing.within(PROVEN)}` : Prisma.empty}
    SELECT account.*, result.* FROM account, result`
  return { sql, session, signedIn, firstStep }
}
