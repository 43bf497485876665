import { uuidv7 } from 'uuidv7'
import { clientKey } from '../../platform/client-key.ts'
import type { Queryable } from '../../platform/database.ts'
import { type DeviceGrant, Prisma } from '../../platform/generated/client.ts'
import { hashOpaqueToken, newOpaqueToken } from '../../platform/opaque-token.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { RequestContext } from '../events/events.ts'
import type { IssuedSession } from '../sessions/sessions.ts'
import type { Allowed, Redeem, Redeemer } from './redemption.ts'
import { createHashesOf, newUserCode, readUserCode } from './user-code.ts'

/** What a device asks for, and from where: what its user is shown. */
export type AskingDevice = Pick<
  DeviceGrant,
  'id' | 'clientId' | 'resource' | 'scope' | 'ip' | 'userAgent' | 'createdAt'
>

/** The codes of a device (RFC 8628 §3.2). */
export interface DeviceCodes {
  /** 256 random bits, for the device alone. */
  deviceCode: string
  /** For the user: `BCDF-GHJK`. */
  userCode: string
  /** Seconds that both work. */
  expiresIn: number
  /** Seconds between two polls. */
  interval: number
}

/** What became of a user code. `used`: somebody else has typed it, or it has been answered. */
export type Claim = { outcome: 'claimed'; device: AskingDevice } | { outcome: 'used' | 'unknown' }

export type Decision = 'allowed' | 'denied'

/** How a poll of a device is answered (RFC 8628 §3.5). `foreign`: unknown, another client's, or used. */
export type Poll =
  | { outcome: 'allowed'; id: string; allowed: Allowed }
  | { outcome: 'pending' | 'early' | 'denied' | 'expired' | 'foreign' }

/** The owner of the table `device_authorizations`: what devices ask for, until they have their tokens. */
export interface DeviceGrants {
  /** Null if the client has asked too often from this address. */
  begin(
    asked: Pick<DeviceGrant, 'clientId' | 'resource' | 'scope'>,
    context: RequestContext,
  ): Promise<DeviceCodes | null>
  /** Binds a user code to the first user who types it: nobody else can answer then. */
  claim(db: Queryable, typed: string, userId: string): Promise<Claim>
  /** What a user has claimed and not answered; the answer, if there is one; null once it has expired. */
  find(db: Queryable, id: string, userId: string): Promise<AskingDevice | Decision | null>
  /** False if it was answered before, has expired, or is another user's. */
  deny(db: Queryable, id: string, userId: string): Promise<boolean>
  /** The same. */
  allow(tx: Transaction, id: string, allowed: Allowed): Promise<boolean>
  /** Each early poll makes the time between two polls longer. */
  poll(deviceCode: string, clientId: string): Promise<Poll>
  /** Begins the session of a device in one statement; null if it has begun before, or cannot begin any more. */
  redeem(
    device: { id: string; allowed: Allowed },
    redeemer: Redeemer,
    context: RequestContext,
  ): Promise<IssuedSession | null>
}

export interface DeviceGrantsDeps extends UsesPlatform<'query' | 'clock' | 'secrets'> {
  redeem: Redeem
}

const LIFETIME_S = 600
const INTERVAL_S = 5
// The network delays requests unevenly.
const TOLERANCE_S = 1
/** Requests of one client from one address that have not expired; not exact while several begin. */
export const MOST_REQUESTS = 100

export function createDeviceGrants({ query, clock, secrets, redeem }: DeviceGrantsDeps): DeviceGrants {
  const hashesOf = createHashesOf({ secrets })
  const now = () => new Date(clock.now())
  const ofUser = (id: string, userId: string) => ({ id, userId, expiresAt: { gt: now() } })

  return {
    async begin({ clientId, resource, scope }, { ip, userAgent }) {
      const [deviceCode, userCode] = [newOpaqueToken(), newUserCode()]
      const [userCodeHash] = hashesOf(readUserCode(userCode) ?? '')
      const network = clientKey(ip)
      const begun = now()
      // A user code that exists already is so rare that it may be answered as one request too many.
      const [row] = await query<{ id: string }>(Prisma.sql`
        INSERT INTO device_authorizations (id, client_id, device_code_hash, user_code_hash, resource, scope, network, ip,
          user_agent, "interval", created_at, expires_at, amr)
        SELECT ${uuidv7()}::uuid, ${clientId}, ${hashOpaqueToken(deviceCode)}::bytea, ${userCodeHash}::bytea, ${resource},
          ${scope}, ${network}, ${ip}, ${userAgent ?? null}::text, ${INTERVAL_S}::int, ${begun}::timestamptz,
          ${new Date(begun.getTime() + LIFETIME_S * 1000)}::timestamptz, '{}'
        WHERE ${MOST_REQUESTS}::int > (SELECT count(*) FROM (SELECT FROM device_authorizations
          WHERE client_id = ${clientId} AND network = ${network} AND expires_at > ${begun}::timestamptz
          LIMIT ${MOST_REQUESTS}::int) AS live)
        ON CONFLICT DO NOTHING RETURNING id`)
      return row ? { deviceCode, userCode, expiresIn: LIFETIME_S, interval: INTERVAL_S } : null
    },
    async claim(db, typed, userId) {
      const letters = readUserCode(typed)
      if (letters === null) return { outcome: 'unknown' }
      const live = { userCodeHash: { in: hashesOf(letters) }, expiresAt: { gt: now() } }
      const [device] = await db.deviceGrant.updateManyAndReturn({
        where: { ...live, decision: null, OR: [{ userId: null }, { userId }] },
        data: { userId },
      })
      if (device) return { outcome: 'claimed', device }
      return { outcome: (await db.deviceGrant.count({ where: live })) > 0 ? 'used' : 'unknown' }
    },
    async find(db, id, userId) {
      const device = await db.deviceGrant.findFirst({ where: ofUser(id, userId) })
      return device && ((device.decision as Decision | null) ?? device)
    },
    async deny(db, id, userId) {
      const where = { ...ofUser(id, userId), decision: null }
      return (await db.deviceGrant.updateMany({ where, data: { decision: 'denied' } })).count === 1
    },
    async allow(tx, id, { userId, parentId, securityVersion, authTime, amr, endsAt }) {
      const { count } = await tx.deviceGrant.updateMany({
        where: { ...ofUser(id, userId), decision: null },
        data: {
          decision: 'allowed',
          parentId,
          securityVersion,
          authTime: new Date(authTime * 1000),
          amr: [...amr],
          endsAt: endsAt === null ? null : new Date(endsAt),
        },
      })
      return count === 1
    },
    async poll(deviceCode, clientId) {
      const at = now()
      const [row] = await query<PolledRow>(Prisma.sql`
        UPDATE device_authorizations AS d SET polled_at = ${at}::timestamptz,
          "interval" = d."interval" + CASE WHEN before.is_early THEN ${INTERVAL_S}::int ELSE 0 END
        FROM (SELECT id, polled_at IS NOT NULL AND polled_at >
            ${at}::timestamptz - make_interval(secs => "interval" - ${TOLERANCE_S}::int) AS is_early
          FROM device_authorizations
          WHERE device_code_hash = ${hashOpaqueToken(deviceCode)}::bytea AND client_id = ${clientId}
          FOR UPDATE) AS before
        WHERE d.id = before.id
        RETURNING d.id, d.user_id, d.client_id, d.resource, d.scope, d.decision, d.parent_id, d.security_version,
          d.auth_time, d.amr, d.ends_at, d.expires_at, d.session_id, before.is_early`)
      if (!row || row.session_id !== null) return { outcome: 'foreign' }
      if (row.decision === 'denied') return { outcome: 'denied' }
      if (row.expires_at <= at) return { outcome: 'expired' }
      if (row.decision === 'allowed') return { outcome: 'allowed', id: row.id, allowed: allowedIn(row) }
      return { outcome: row.is_early ? 'early' : 'pending' }
    },
    async redeem({ id, allowed }, redeemer, context) {
      const use = (sessionId: string) => Prisma.sql`
        UPDATE device_authorizations SET session_id = ${sessionId}::uuid
        WHERE id = ${id}::uuid AND session_id IS NULL AND decision = 'allowed' AND EXISTS (SELECT FROM account)
        RETURNING id`
      const { begun } = await redeem({ allowed, reason: 'device_code', use }, redeemer, context)
      return begun?.issued ?? null
    },
  }
}

interface PolledRow {
  id: string
  user_id: string
  client_id: string
  resource: string
  scope: string
  decision: Decision | null
  parent_id: string
  security_version: number
  auth_time: Date
  amr: string[]
  ends_at: Date | null
  expires_at: Date
  session_id: string | null
  is_early: boolean
}

const allowedIn = (row: PolledRow): Allowed => ({
  userId: row.user_id,
  securityVersion: row.security_version,
  parentId: row.parent_id,
  clientId: row.client_id,
  resource: row.resource,
  scope: row.scope,
  authTime: row.auth_time.getTime() / 1000,
  amr: row.amr,
  endsAt: row.ends_at?.getTime() ?? null,
})
