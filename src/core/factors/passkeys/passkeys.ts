import type {
  AuthenticationResponseJSON,
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
import type { PasskeyUse, Tickets } from '../../one-time/one-time.ts'
import { Problem } from '../../problems/problems.ts'
import type { LockedUser, Users } from '../../users/users.ts'
import { bytesOf } from './base64url.ts'
import type { RelyingParty } from './ceremonies.ts'

/** A passkey's answer to a challenge, with the challenge's ticket. */
export interface PasskeyAnswer {
  challenge_token: string
  credential: AuthenticationResponseJSON
}

export interface PasskeyView {
  id: string
  name: string
  backedUp: boolean
  createdAt: Date
  lastUsedAt: Date | null
}

/** Passkeys (WebAuthn Level 3). A challenge is a ticket: it works once, and nothing is stored until it is answered. */
export interface Passkeys {
  /** @throws `too_many_passkeys`. */
  registrationOptions(
    db: Queryable,
    user: { id: string; email: string; name: string | null },
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
   * Finds the user whose passkey answered, under a shared lock; null when the answer is not valid. A sign-in with a
   * passkey alone requires user verification; as a second factor, user presence is enough. The caller checks whether
   * the account may sign in.
   */
  verify(
    tx: Transaction,
    answer: PasskeyAnswer,
    expected: { use: PasskeyUse; userId: string | null },
  ): Promise<{ userId: string; passkeyId: string; user: LockedUser } | null>
  list(db: Queryable, userId: string): Promise<PasskeyView[]>
  /** False when the account has no such passkey. */
  remove(tx: Transaction, user: LockedUser, passkeyId: string): Promise<boolean>
}

export const MAX_PASSKEYS = 20
/** Seconds for which a challenge may be answered. */
export const CHALLENGE_TTL = 300

// Loaded when first used: the library takes 17 MB and a tenth of the start.
const ceremonies = () => import('./ceremonies.ts')

export function createPasskeys(
  deps: { tickets: Tickets; clock: Clock; users: Pick<Users, 'lock'>; rpName: string } & RelyingParty,
): Passkeys {
  const { tickets, clock, users, rpId, rpName, origins } = deps
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
        authenticatorSelection: { residentKey: 'required', userVerification: 'preferred' },
      })
      const ticket = { userId: user.id, challenge: options.challenge }
      return { challengeToken: tickets.issue('passkey_registration', ticket, CHALLENGE_TTL), options }
    },

    async register(tx, { id: userId }, { challengeToken, credential, name }) {
      const asked = tickets.open('passkey_registration', challengeToken)
      if (asked?.userId !== userId) throw new Problem('passkey_invalid')
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

    async verify(tx, { challenge_token: challengeToken, credential }, { use, userId }) {
      const asked = tickets.open('passkey_assertion', challengeToken)
      if (asked?.use !== use || asked.userId !== userId) return null
      const credentialId = bytesOf(credential.id)
      const passkey = credentialId && (await tx.passkey.findUnique({ where: { credentialId } }))
      if (!passkey || (userId !== null && passkey.userId !== userId)) return null
      const known = { ...passkey, userHandle: handleOf(passkey.userId) }
      const { checkAssertion } = await ceremonies()
      const used = await checkAssertion(relyingParty, credential, asked.challenge, known, use === 'sign_in')
      if (!used) return null
      // Shared, because the caller may hold a shared lock: two transactions that upgrade one would deadlock.
      const user = await users.lock(tx, passkey.userId, { mode: 'share', disabled: true })
      if (!user) return null
      if (!(await tickets.spend(tx, 'passkey_assertion', challengeToken))) return null
      // Two answers to two challenges may have been checked against the same counter.
      const { count } = await tx.passkey.updateMany({
        where: { id: passkey.id, counter: used.counter === 0 ? 0 : { lt: used.counter } },
        data: { ...used, lastUsedAt: new Date(clock.now()) },
      })
      return count === 1 ? { userId: user.id, passkeyId: passkey.id, user } : null
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

/** The user handle: the bytes of the user's UUID, which hold no personal data (WebAuthn §14.6.1). */
const handleOf = (userId: string) => new Uint8Array(Buffer.from(userId.replaceAll('-', ''), 'hex'))

const viewOf = ({
  id,
  name,
  backedUp,
  createdAt,
  lastUsedAt,
}: Pick<Passkey, 'id' | 'name' | 'backedUp' | 'createdAt' | 'lastUsedAt'>): PasskeyView => ({
  id,
  name,
  backedUp,
  createdAt,
  lastUsedAt,
})
