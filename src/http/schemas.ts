import { type Static, type TSchemaOptions, Type } from 'typebox'
import { Problem } from '../core/problems/problems.ts'
import { oneSpelling } from '../platform/spelling.ts'

/** Shapes that several features share. Unknown properties are refused everywhere. */
export const strict = { additionalProperties: false } as const
/** One of a few words. As an enum, so that a wrong one is one fault, where a union would make one of each member. */
export const oneOf = <const Word extends string>(words: readonly Word[], options: TSchemaOptions = {}) =>
  Type.Unsafe<Word>({ type: 'string', enum: words, ...options })
/** An id in a path or a query. The format alone would let `urn:uuid:` stand before it. */
export const Uuid = Type.String({ format: 'uuid', maxLength: 36 })
export const Email = Type.String({
  minLength: 1,
  maxLength: 320,
  description: 'An e-mail address',
  examples: ['demo@example.com'],
})
// A lone surrogate has no UTF-8: two passwords would become one.
export const Password = Type.String({
  maxLength: 4096,
  format: 'password',
  pattern: '^\\P{Cs}*$',
  examples: ['correct horse battery'],
})
// Postgres stores no NUL, and no name holds a control character.
export const Name = Type.String({
  minLength: 1,
  maxLength: 100,
  pattern: '^[^\\p{Cc}\\p{Cs}]+$',
  examples: ['Ada'],
})
/** What WebAuthn's `toJSON` gives; what is in it is checked where it is verified. */
export const PasskeyAnswer = Type.Object(
  {
    challenge_token: Type.String({ minLength: 1, maxLength: 1024 }),
    credential: Type.Object(
      {
        id: Type.String({ minLength: 1, maxLength: 2048 }),
        rawId: Type.String({ minLength: 1, maxLength: 2048 }),
        type: Type.Literal('public-key'),
        response: Type.Object(
          {
            clientDataJSON: Type.String({ maxLength: 8192 }),
            authenticatorData: Type.String({ maxLength: 8192 }),
            signature: Type.String({ maxLength: 8192 }),
            userHandle: Type.Optional(Type.String({ maxLength: 256 })),
          },
          { additionalProperties: true },
        ),
        clientExtensionResults: Type.Object({}, { additionalProperties: true }),
      },
      { additionalProperties: true },
    ),
  },
  strict,
)
export const PasskeyDescriptor = Type.Object({
  id: Type.String(),
  type: Type.String(),
  transports: Type.Optional(Type.Array(Type.String())),
})
/** What `PublicKeyCredential.parseRequestOptionsFromJSON` takes (WebAuthn Level 3, §5.1.9), with its ticket. */
export const PasskeyChallenge = Type.Object({
  challenge_token: Type.String({ description: 'Comes back with the answer; five minutes, once' }),
  options: Type.Object({
    challenge: Type.String(),
    rpId: Type.Optional(Type.String()),
    allowCredentials: Type.Optional(Type.Array(PasskeyDescriptor)),
    timeout: Type.Optional(Type.Integer({ description: 'Milliseconds' })),
    userVerification: Type.Optional(Type.String()),
  }),
})
export const TotpCode = Type.String({
  minLength: 1,
  maxLength: 32,
  description: 'Of an authenticator app',
  examples: ['123456'],
})
/** One second factor, of whichever kind. */
export const factorProof = {
  code: Type.Optional(TotpCode),
  recovery_code: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  passkey: Type.Optional(PasskeyAnswer),
}
/** What the documentation of a call with `stepUpProof` says. */
export const STEP_UP =
  'Asks again for the password of the account and, where it has a second factor, for exactly one of `code`, ' +
  '`recovery_code` and `passkey` (of `POST /auth/passkeys/challenge`). Without one the answer is `mfa_required` with ' +
  'the `methods` that would do: send the same call again with the factor. There is no `mfa_token` here. An account ' +
  'without a password leaves it out.'
/** What such a call can answer, beside what is its own. */
export const stepUpProblems = [
  'invalid_credentials',
  'mfa_required',
  'mfa_invalid',
  'too_many_attempts',
  'overloaded',
] as const
/** The password again, where the account has one, and a second factor, where it has one. */
export const stepUpProof = { password: Type.Optional(Password), ...factorProof }
/** For an account without a second factor: with more than one of them a call is refused. */
export const StepUpBody = Type.Object(stepUpProof, {
  ...strict,
  examples: [{ password: 'correct horse battery' }],
})
export const TRANSPORTS = ['cookie', 'body'] as const
// Told, not filled in: Ajv sets no defaults here.
export const Transport = oneOf(TRANSPORTS, {
  default: 'cookie',
  description: 'Where the refresh token goes: into a cookie that no script reads, or into the answer',
})
export const OneTimeToken = Type.String({
  minLength: 1,
  maxLength: 200,
  description: 'From the link in the mail',
  examples: ['the-token-of-the-link'],
})
export const NoContent = Type.Null({ description: 'Done' })

export const User = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    email: Type.String(),
    email_verified: Type.Boolean(),
    name: Type.Union([Type.String(), Type.Null()]),
    roles: Type.Array(Type.String()),
    mfa_enabled: Type.Boolean(),
    created_at: Type.String({ format: 'date-time' }),
    updated_at: Type.String({ format: 'date-time' }),
  },
  strict,
)
export type User = Static<typeof User>

export const TokenResponse = Type.Object(
  {
    access_token: Type.String(),
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ description: 'Seconds' }),
    session: Type.Object({ id: Type.String(), expires_at: Type.String({ format: 'date-time' }) }),
    refresh_token: Type.Optional(Type.String({ description: 'Body transport only' })),
    device_token: Type.Optional(
      Type.String({ description: 'After a sign-in, body transport only: send it with the next one' }),
    ),
    user: Type.Optional(User),
  },
  strict,
)
export type TokenResponse = Static<typeof TokenResponse>

/** What of an account's row its owner sees. */
export interface UserRow {
  id: string
  email: string
  emailVerifiedAt: Date | null
  name: string | null
  roles: string[]
  createdAt: Date
  updatedAt: Date
}

/** A user as its owner sees it; every field is listed, so that a new column is never leaked. */
export function presentUser(row: UserRow, mfaEnabled: boolean): User {
  return {
    id: row.id,
    email: row.email,
    email_verified: row.emailVerifiedAt !== null,
    name: row.name,
    roles: row.roles,
    mfa_enabled: mfaEnabled,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  }
}

// One `@`, and nothing that could split a header or a list of recipients.
const EMAIL = /^[^@\s\p{C}<>(),;:"\\[\]]+@[^@\s\p{C}<>(),;:"\\[\]]+$/u

/** The canonical form of an address. @throws `validation_failed` that points at `pointer`. */
export function canonicalEmail(input: string, pointer = '/email'): string {
  const email = oneSpelling(input)
  const fits = email.length <= 254 && EMAIL.test(email)
  if (!fits) {
    throw new Problem('validation_failed', {
      errors: [{ pointer, detail: 'is not an e-mail address' }],
    })
  }
  return email
}
