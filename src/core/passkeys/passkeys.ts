import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'
import type { Queryable } from '../../platform/database.ts'
import type { PasskeyUse } from '../tickets/tickets.ts'

/** A passkey's answer to a challenge, with the ticket that the challenge came with. */
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

/** Passkeys (WebAuthn Level 3). Challenges are tickets: nothing is stored until an answer fits, and each works once. */
export interface Passkeys {
  registrationOptions(
    db: Queryable,
    user: { id: string; email: string; name: string | null },
  ): Promise<{ challengeToken: string; options: PublicKeyCredentialCreationOptionsJSON }>
  /** @throws `passkey_invalid`, `too_many_passkeys`. */
  register(
    tx: Queryable,
    userId: string,
    input: { challengeToken: string; credential: RegistrationResponseJSON; name: string },
  ): Promise<PasskeyView>
  /** With `userId` only that account's passkeys fit. */
  assertionOptions(
    db: Queryable,
    use: PasskeyUse,
    userId: string | null,
  ): Promise<{ challengeToken: string; options: PublicKeyCredentialRequestOptionsJSON }>
  /**
   * Whose passkey answered; null when the answer does not fit. A sign-in with a passkey alone asks for user
   * verification; beside a password, presence is enough.
   */
  verify(
    tx: Queryable,
    answer: PasskeyAnswer,
    expected: { use: PasskeyUse; userId: string | null },
  ): Promise<{ userId: string; passkeyId: string } | null>
  list(db: Queryable, userId: string): Promise<PasskeyView[]>
  count(db: Queryable, userId: string): Promise<number>
  /** False when the account has no such passkey. */
  remove(tx: Queryable, userId: string, passkeyId: string): Promise<boolean>
}
