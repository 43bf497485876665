import type { Client } from '../../../core/clients/clients.ts'
import type { RequestContext } from '../../../core/events/events.ts'
import type { AskingDevice, Decision } from '../../../core/grants/grants.ts'
import type { Uses } from '../../../core/uses.ts'
import { allowedIn, type OwnSession } from '../own-session.ts'

export type AnswerDeviceUses = Uses<
  'db' | 'transact' | 'sessions' | 'users' | 'grants' | 'events' | 'clients'
>

/** A device whose code the user has typed. */
export interface ClaimedDevice {
  device: AskingDevice
  client: Client
}

/** What the user is told of a code: the question, or why there is none. */
export type Opened = ClaimedDevice | 'used' | 'unknown'

/** Binds a code to the user who types it first (RFC 8628 §5.4). */
export async function openCode(
  { db, grants, clients, events }: AnswerDeviceUses,
  typed: string,
  { claims: { sub: userId, sid: sessionId } }: OwnSession,
  context: RequestContext,
): Promise<Opened> {
  const claim = await grants.devices.claim(db, typed, userId)
  const client = 'device' in claim ? await clients.find(claim.device.clientId) : undefined
  if ('device' in claim && client) return { device: claim.device, client }
  const isUsed = claim.outcome === 'used'
  const event = { type: 'grant', outcome: 'failure', reason: isUsed ? 'code_used' : 'wrong_code' } as const
  events.recordSoon({ ...event, userId, sessionId }, context)
  return isUsed ? 'used' : 'unknown'
}

/** What a user has claimed and can answer, or has answered; null once it has expired. */
export async function findClaimed(
  { db, grants, clients }: AnswerDeviceUses,
  id: string,
  userId: string,
): Promise<ClaimedDevice | Decision | null> {
  const device = await grants.devices.find(db, id, userId)
  if (!device || typeof device === 'string') return device
  const client = await clients.find(device.clientId)
  return client ? { device, client } : null
}

/**
 * Allows what the device asks for, in the user's own session, which is rotated. False if the code has expired meanwhile; null
 * if nobody is signed in any more. @throws `unavailable`.
 */
export async function allowDevice(
  { transact, users, grants, events }: AnswerDeviceUses,
  { device }: ClaimedDevice,
  session: OwnSession,
  context: RequestContext,
): Promise<boolean | null> {
  const own = await session.rotate()
  if (!own) return null
  const { sub: userId, sid: sessionId } = own.claims
  const { id, clientId, resource, scope } = device
  return transact(async (tx) => {
    const user = await users.lock(tx, userId)
    if (!user || !(await grants.devices.allow(tx, id, allowedIn(own, user, device)))) return false
    await grants.allow(tx, { userId, clientId, resource }, scope.split(' '))
    await events.record(tx, { type: 'grant', outcome: 'success', userId, sessionId, clientId }, context)
    return true
  })
}

/** Refuses it: the device is told so. False if the code has expired meanwhile. */
export async function denyDevice(
  { db, grants, events }: AnswerDeviceUses,
  { device: { id, clientId } }: ClaimedDevice,
  { claims: { sub: userId, sid: sessionId } }: OwnSession,
  context: RequestContext,
): Promise<boolean> {
  if (!(await grants.devices.deny(db, id, userId))) return false
  const event = { type: 'grant', outcome: 'failure', reason: 'access_denied' } as const
  await events.record(db, { ...event, userId, sessionId, clientId }, context)
  return true
}
