import type { Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import { type Codes, type CodesDeps, createCodes } from './codes.ts'
import { createDeviceGrants, type DeviceGrants, type DeviceGrantsDeps } from './device-grants.ts'
import { createRedeem, type RedemptionDeps } from './redemption.ts'

export type { Redemption } from './codes.ts'
export type { AskingDevice, Decision, DeviceCodes } from './device-grants.ts'
export type { Allowed } from './redemption.ts'
export { readUserCode, writeUserCode } from './user-code.ts'

/** A client and a resource, the latter empty for the scopes of OpenID Connect alone. */
export interface Granted {
  userId: string
  clientId: string
  resource: string
}

/** What a user allows one client at one resource. */
export interface Grant extends Granted {
  scopes: string[]
  createdAt: Date
  updatedAt: Date
}

/** What users allow third-party clients: the owner of the tables `grants`, `used_codes` and `device_authorizations`. */
export interface Grants {
  /** The scopes that the user has allowed before. */
  scopesOf(db: Queryable, granted: Granted): Promise<readonly string[]>
  /** Adds scopes to those that the user has allowed. */
  allow(tx: Transaction, granted: Granted, scopes: readonly string[]): Promise<void>
  /** Everything that a user allows, the oldest first. */
  list(db: Queryable, userId: string): Promise<Grant[]>
  /** Takes everything back that a user allows a client; false if that was nothing. */
  withdraw(tx: Transaction, userId: string, clientId: string): Promise<boolean>
  codes: Codes
  devices: DeviceGrants
}

/** Everything that a user allows third parties, the oldest first. */
export const listGrants = (db: Queryable, userId: string): Promise<Grant[]> =>
  db.grant.findMany({ where: { userId }, orderBy: { createdAt: 'asc' } })

/** Takes back what every user allows a client, once it is deleted. */
export async function forgetClient(tx: Transaction, clientId: string): Promise<void> {
  await tx.deviceGrant.deleteMany({ where: { clientId } })
  await tx.grant.deleteMany({ where: { clientId } })
}

/** Takes everything back that a user allows a client; false if that was nothing. */
export async function withdrawGrant(tx: Transaction, userId: string, clientId: string): Promise<boolean> {
  const where = { userId, clientId }
  // A device that has not come for its tokens yet gets none.
  await tx.deviceGrant.deleteMany({ where })
  return (await tx.grant.deleteMany({ where })).count > 0
}

/** Whether any user allows a client something. */
export const isAllowedByAnyUser = async (db: Queryable, clientId: string): Promise<boolean> =>
  (await db.grant.findFirst({ where: { clientId }, select: { clientId: true } })) !== null

/** The clients whose id is an address at a host, among those that a user allows something. */
export async function allowedClientsAt(db: Queryable, host: string): Promise<string[]> {
  const starts = ['https', 'http'].flatMap((scheme) => [`${scheme}://${host}/`, `${scheme}://${host}:`])
  const rows = await db.grant.findMany({
    where: { OR: starts.map((startsWith) => ({ clientId: { startsWith } })) },
    distinct: ['clientId'],
    select: { clientId: true },
  })
  return rows.map(({ clientId }) => clientId)
}

export function openGrants(
  deps: UsesPlatform<'clock'> & Omit<CodesDeps & DeviceGrantsDeps, 'redeem'> & RedemptionDeps,
): Grants {
  const { clock } = deps
  const redeem = createRedeem(deps)
  return {
    async scopesOf(db, { userId, clientId, resource }) {
      const key = { userId, clientId, resource }
      return (await db.grant.findUnique({ where: { userId_clientId_resource: key } }))?.scopes ?? []
    },
    async allow(tx, { userId, clientId, resource }, scopes) {
      const now = new Date(clock.now())
      await tx.$executeRaw(Prisma.sql`
        INSERT INTO grants AS g (user_id, client_id, resource, scopes, created_at, updated_at)
        VALUES (${userId}::uuid, ${clientId}, ${resource}, ${[...scopes]}::text[], ${now}, ${now})
        ON CONFLICT (user_id, client_id, resource) DO UPDATE SET updated_at = EXCLUDED.updated_at,
          scopes = ARRAY(SELECT DISTINCT scope FROM unnest(g.scopes || EXCLUDED.scopes) AS scope ORDER BY scope)`)
    },
    list: listGrants,
    withdraw: withdrawGrant,
    codes: createCodes({ ...deps, redeem }),
    devices: createDeviceGrants({ ...deps, redeem }),
  }
}
