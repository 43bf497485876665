import type {
  AuthenticatorTransport,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'
import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../../platform/clock.ts'
import type { Queryable } from '../../../platform/database.ts'
import { shownAddress } from '../../../platform/email-address.ts'
import type { Passkey } from '../../../platform/generated/client.ts'
import type { Transaction } from '../../../platform/transact.ts'
import type { AuditEvent, Events, RequestContext } from '../../events/events.ts'
import type { PasskeyUse, Tickets } from '../../one-time/one-time.ts'
import { Problem } from '../../problems/problems.ts'
import type { PasskeyFault } from '../../reasons/reasons.ts'
import type { LockedUser, User, Users } from '../../users/users.ts'
import { bytesOf } from './base64url.ts'
import type { Assertion, RelyingParty } from './ceremonies.ts'

/** A passkey's answer to a challenge, with the challenge's ticket. */
export interface PasskeyAnswer {
  challenge_token: string
  credential: Assertion
}

export interface PasskeyView {
  id: string
  /** base64url. */
  credentialId: string
  name: string
  backedUp: boolean
  createdAt: Date
  lastUsedAt: Date | null
}

/** Why a passkey's answer was refused. */
export interface PasskeyRefusal {
  /** No account has a passkey with this id, which answered a challenge of this server. */
  isUnknown: boolean
  /** The owner of a known passkey. */
  owner: string | null
  /** To be recorded once the transaction is over, even if it is rolled back. */
  events: readonly AuditEvent[]
}

/** Passkeys (WebAuthn Level 3). A challenge is a ticket: it works once, and nothing is stored until it is answered. */
export interface Passkeys {
  /** @throws `too_many_passkeys`. */
  registrationOptions(
    db: Queryable,
    user: Pick<User, 'id' | 'email' | 'name' | 'securityVersion'>,
  ): Promise<{ challengeToken: string; options: PublicKeyCredentialCreationOptionsJSON }>
  /** @throws `passkey_invalid`, `too_many_passkeys`. */
  register(
    tx: Transaction,
    user: LockedUser,
    input: { challengeToken: string; credential: RegistrationResponseJSON; name: string },
  ): Promise<PasskeyView>
  /** With `userId`, only that account's passkeys are accepted. */
  assertionOptions(
    db: Queryable,
    use: PasskeyUse,
    userId: string | null,
  ): Promise<{ challengeToken: string; options: PublicKeyCredentialRequestOptionsJSON }>
  /**
   * Finds the user whose passkey answered, locked. A sign-in with a passkey alone requires user
   * verification; as a second factor, user presence is enough. The caller checks whether the account may sign in.
   */
  verify(
    tx: Transaction,
    answer: PasskeyAnswer,
    expected: { use: PasskeyUse; userId: string | null },
    context: RequestContext,
  ): Promise<{ passkeyId: string; user: LockedUser } | { refused: PasskeyRefusal }>
  /** The user of a credential that is shown but not verified. */
  ownerOf(db: Queryable, answer: PasskeyAnswer): Promise<string | null>
  list(db: Queryable, userId: string): Promise<PasskeyView[]>
  /** False when the account has no such passkey. */
  remove(tx: Transaction, user: LockedUser, passkeyId: string): Promise<boolean>
}

export const MAX_PASSKEYS = 20
/** Seconds for which a challenge may be answered. */
export const CHALLENGE_TTL = 300

// Loaded when first used: the library takes 17 MB and a tenth of the start.
const ceremonies = () => import('./ceremonies.ts')
const faults = () => import('./faults.ts')

export interface PasskeysDeps {
  tickets: Tickets
  clock: Clock
  users: Pick<Users, 'lock'>
  events: Pick<Events, 'record'>
  rpName: string
}

export function createPasskeys(deps: PasskeysDeps & RelyingParty): Passkeys {
  const { tickets, clock, users, events, rpId, rpName, origins } = deps
  const relyingParty = { rpId, origins }
  const timeout = CHALLENGE_TTL * 1000

  const credentialsOf = async (db: Queryable, userId: string) => {
    const rows = await db.passkey.findMany({ where: { userId }, orderBy: { id: 'asc' } })
    return rows.map(({ credentialId, transports }) => ({
      id: Buffer.from(credentialId).toString('base64url'),
      transports: transports as AuthenticatorTransport[],
    }))
  }

  return {
    async registrationOptions(db, user) {
      const excludeCredentials = await credentialsOf(db, user.id)
      if (excludeCredentials.length >= MAX_PASSKEYS) throw new Problem('too_many_passkeys')
      const options = await (await ceremonies()).createRegistrationOptions({
        rpID: rpId,
        rpName,
        userID: handleOf(user.id),
        userName: shownAddress(user.email),
        userDisplayName: user.name ?? shownAddress(user.email),
        timeout,
        attestationType: 'none',
        excludeCredentials,
        // Not required, because U2F keys can do neither; they still serve as a second factor.
        authenticatorSelection: { residentKey: 'preferred', userVerification: 'preferred' },
      })
      const { id: userId, securityVersion } = user
      const ticket = { userId, securityVersion, challenge: options.challenge }
      return { challengeToken: tickets.issue('passkey_registration', ticket, CHALLENGE_TTL), options }
    },

    async register(tx, { id: userId, securityVersion }, { challengeToken, credential, name }) {
      const asked = tickets.open('passkey_registration', challengeToken)
      if (asked?.userId !== userId || asked.securityVersion !== securityVersion) {
        throw new Problem('passkey_invalid')
      }
      const { checkRegistration } = await ceremonies()
      const created = await checkRegistration(relyingParty, credential, asked.challenge)
      if (!created) throw new Problem('passkey_invalid')
      if ((await tx.passkey.count({ where: { userId } })) >= MAX_PASSKEYS) {
        throw new Problem('too_many_passkeys')
      }
      const spent = await tickets.spend(tx, 'passkey_registration', challengeToken)
      if (!spent) throw new Problem('passkey_invalid')
      const row = { id: uuidv7(), userId, name, ...created, createdAt: new Date(clock.now()) }
      // A credential id that is registered already stays with its account.
      const { count } = await tx.passkey.createMany({ data: [row], skipDuplicates: true })
      if (count === 0) throw new Problem('passkey_invalid')
      return viewOf({ ...row, lastUsedAt: null })
    },

    async assertionOptions(db, use, userId) {
      const allowCredentials = userId === null ? undefined : await credentialsOf(db, userId)
      const options = await (await ceremonies()).createAssertionOptions({
        rpID: rpId,
        timeout,
        userVerification: use === 'sign_in' ? 'required' : 'preferred',
        ...(allowCredentials ? { allowCredentials } : {}),
      })
      const ticket = { use, userId, challenge: options.challenge }
      return { challengeToken: tickets.issue('passkey_assertion', ticket, CHALLENGE_TTL), options }
    },

    async verify(tx, { challenge_token: challengeToken, credential }, { use, userId }, context) {
      const ticket = tickets.open('passkey_assertion', challengeToken)
      const asked = ticket?.use === use && ticket.userId === userId ? ticket : null
      const credentialId = bytesOf(credential.id)
      const passkey = credentialId && (await tx.passkey.findUnique({ where: { credentialId } }))
      if (!passkey) return refusedAs({ isUnknown: credentialId !== null && asked !== null })
      const { id, userId: owner } = passkey
      const known = { ...passkey, userHandle: handleOf(owner) }
      const alone = use === 'sign_in'
      const { checkAssertion } = await ceremonies()
      const used = asked && (await checkAssertion(relyingParty, credential, asked.challenge, known, alone))
      if (!asked || !used) {
        const { findFault } = await faults()
        const challenge = asked?.challenge ?? null
        return refusedAs({ owner, fault: await findFault(relyingParty, credential, challenge, known, alone) })
      }
      if (userId !== null && owner !== userId) return refusedAs({ owner, fault: 'wrong_account' })
      const user = await users.lock(tx, owner, { disabled: true })
      if (!user) return refusedAs({})
      const isFirstUse = await tickets.spend(tx, 'passkey_assertion', challengeToken)
      if (!isFirstUse) return refusedAs({ owner, fault: 'wrong_challenge' })
      const data = { ...used, lastUsedAt: new Date(clock.now()) }
      // Not compared with what was read: another answer may have been accepted since.
      const risen = { id, counter: used.counter === 0 ? 0 : { lt: used.counter } }
      if ((await tx.passkey.updateMany({ where: risen, data })).count === 1) return { passkeyId: id, user }
      // It may have been removed before the lock was granted.
      if ((await tx.passkey.count({ where: { id } })) === 0) return refusedAs({})
      // By what was stored: a copy of a device-bound key signs its own flags, and could claim to be synced.
      const isSynced = (passkey.backupEligible ?? used.backupEligible) && used.backedUp
      if (!isSynced) return refusedAs({ owner, fault: 'counter_not_risen' })
      await tx.passkey.update({ where: { id }, data })
      const noted = { type: 'passkey_use', outcome: 'success', reason: 'counter_not_risen' } as const
      await events.record(tx, { ...noted, userId: owner }, context)
      return { passkeyId: id, user }
    },

    async ownerOf(db, { credential }) {
      const credentialId = bytesOf(credential.id)
      const passkey = credentialId && (await db.passkey.findUnique({ where: { credentialId } }))
      return passkey ? passkey.userId : null
    },

    async list(db, userId) {
      const rows = await db.passkey.findMany({ where: { userId }, orderBy: { id: 'asc' } })
      return rows.map(viewOf)
    },
    async remove(tx, { id: userId }, id) {
      const { count } = await tx.passkey.deleteMany({ where: { id, userId } })
      return count === 1
    },
  }
}

function refusedAs(why: { isUnknown?: boolean; owner?: string; fault?: PasskeyFault }): {
  refused: PasskeyRefusal
} {
  const { isUnknown = false, owner = null, fault } = why
  const event = fault && ({ type: 'passkey_use', outcome: 'failure', reason: fault, userId: owner } as const)
  return { refused: { isUnknown, owner, events: event ? [event] : [] } }
}

/** The user handle: the bytes of the user's UUID, which hold no personal data (WebAuthn §14.6.1). */
const handleOf = (userId: string) => new Uint8Array(Buffer.from(userId.replaceAll('-', ''), 'hex'))

const viewOf = ({
  id,
  credentialId,
  name,
  backedUp,
  createdAt,
  lastUsedAt,
}: Pick<Passkey, 'id' | 'credentialId' | 'name' | 'backedUp' | 'createdAt' | 'lastUsedAt'>): PasskeyView => ({
  id,
  credentialId: Buffer.from(credentialId).toString('base64url'),
  name,
  backedUp,
  createdAt,
  lastUsedAt,
})
