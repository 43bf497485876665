import { type Static, type TSchemaOptions, type TString, Type } from 'typebox'
import { Problem } from '../core/problems/problems.ts'
import { canonicalAddress, shownAddress } from '../platform/email-address.ts'
import { canonicalLocale } from '../platform/locale.ts'
import { isName } from '../platform/name.ts'

/** For schemas that refuse unknown properties. */
export const strict = { additionalProperties: false } as const
/** One of several words, as an enum: a wrong word is then one fault, where a union would report one per member. */
export const oneOf = <const Word extends string>(words: readonly Word[], options: TSchemaOptions = {}) =>
  Type.Unsafe<Word>({ type: 'string', enum: words, ...options })
/** The schema of a text, or null: as one type, so that a wrong text is one fault. */
export const orNull = (schema: TString) => Type.Unsafe<string | null>({ ...schema, type: ['string', 'null'] })
/** An id in a path or a query. The length excludes the prefix `urn:uuid:`, which the format allows. */
export const Uuid = Type.String({ format: 'uuid', maxLength: 36 })
export const Email = Type.String({
  format: 'idn-email',
  maxLength: 320,
  description:
    'An e-mail address: a dot-atom of at most 64 octets, `@`, and a domain; together at most 254 octets. Quoted local ' +
    'parts and address literals are not accepted. Every spelling of a mailbox is the same address: capitals, full-width ' +
    'characters, spaces around it, and an international domain in Unicode or in its ASCII form.',
  examples: ['demo@example.com'],
})
const LONE_SURROGATES = '\\ud800-\\udfff'
const CONTROLS = '\\u0000-\\u001f\\u007f-\\u009f'
// Means the same with the `u` flag, which validators of other languages do not have, and without it.
const textWithout = (characters: string) => `^(?:[^${characters}]|[\\ud800-\\udbff][\\udc00-\\udfff])*$`
/** The pattern of a text that Postgres can store, without control characters. */
export const WITHOUT_CONTROLS = textWithout(CONTROLS + LONE_SURROGATES)
// A lone surrogate has no UTF-8, so that different passwords would become the same.
export const Password = Type.String({
  maxLength: 4096,
  format: 'password',
  pattern: textWithout(LONE_SURROGATES),
  examples: ['correct horse battery'],
})
/** A name as {@link isName} allows it. Store it as `spellName` writes it. */
export const Name = Type.String({
  format: 'name',
  description: '1 to 100 characters; it is normalized (NFC) and trimmed',
  examples: ['Ada'],
})
/** A language tag. Store it as `canonicalLocale` writes it. */
export const Locale = Type.String({
  format: 'locale',
  maxLength: 35,
  description: 'A language tag (BCP 47)',
  examples: ['de'],
})
/** How formats are checked that the validator does not know, or not as we mean them. */
export const formats = {
  name: isName,
  locale: (tag: string) => canonicalLocale(tag) !== undefined,
  'idn-email': (text: string) => canonicalAddress(text) !== null,
}
/** The output of WebAuthn's `toJSON`, with the challenge's ticket. Its content is checked when it is verified. */
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
            // Null or empty from keys that store none.
            userHandle: Type.Optional(
              Type.Unsafe<string | null>({ type: ['string', 'null'], maxLength: 256 }),
            ),
          },
          { additionalProperties: true },
        ),
        clientExtensionResults: Type.Object({}, { additionalProperties: true }),
      },
      { additionalProperties: true },
    ),
  },
  { ...strict, title: 'PasskeyAnswer' },
)
export const PasskeyDescriptor = Type.Object(
  {
    id: Type.String(),
    type: Type.String(),
    transports: Type.Optional(Type.Array(Type.String())),
  },
  { title: 'PasskeyDescriptor' },
)
/** The input of `PublicKeyCredential.parseRequestOptionsFromJSON` (WebAuthn Level 3, §5.1.9), with its ticket. */
export const PasskeyChallenge = Type.Object(
  {
    challenge_token: Type.String({
      description: 'Send it back with the answer: it works once, for five minutes',
    }),
    options: Type.Object({
      challenge: Type.String(),
      rpId: Type.Optional(Type.String()),
      allowCredentials: Type.Optional(Type.Array(PasskeyDescriptor)),
      timeout: Type.Optional(Type.Integer({ description: 'Milliseconds' })),
      userVerification: Type.Optional(Type.String()),
    }),
  },
  { title: 'PasskeyChallenge' },
)
export const MfaToken = Type.String({ minLength: 1, maxLength: 1024 })
export const TotpCode = Type.String({
  minLength: 1,
  maxLength: 32,
  description: 'A code from an authenticator app: its digits in any script, with any spaces and dashes',
  examples: ['123456'],
})
/** The proof of a second factor, of any kind. */
export const factorProof = {
  code: Type.Optional(TotpCode),
  recovery_code: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  passkey: Type.Optional(PasskeyAnswer),
}
/** The description of a call with `stepUpProof`. */
export const STEP_UP =
  'Requires the password of the account again and, if the account has a second factor, exactly one of `code`, ' +
  '`recovery_code` and `passkey` (from `POST /auth/passkeys/challenge`). Without a factor the response is ' +
  '`mfa_required` with the accepted `methods`: send the same call again with the factor. There is no `mfa_token` ' +
  'here. For an account without a password, leave the password out.'
/** The problems of such a call, in addition to its own. */
export const stepUpProblems = [
  'invalid_credentials',
  'mfa_required',
  'mfa_invalid',
  'too_many_attempts',
  'overloaded',
] as const
/** The password, if the account has one, and a second factor, if it has one. */
export const stepUpProof = { password: Type.Optional(Password), ...factorProof }
/** A body with a step-up. The example is for an account without a second factor. */
export const StepUpBody = Type.Object(stepUpProof, {
  title: 'StepUp',
  ...strict,
  examples: [{ password: 'correct horse battery' }],
})
export const TRANSPORTS = ['cookie', 'body'] as const
// The default is only documented: Ajv is configured not to set defaults.
export const Transport = oneOf(TRANSPORTS, {
  default: 'cookie',
  description:
    'How to return the refresh token: in a cookie that scripts cannot read, or in the response body',
})
export const DeviceTokenText = Type.Optional(
  Type.String({ maxLength: 64, description: 'The token from an earlier answer; only for body transport' }),
)
export const OneTimeToken = Type.String({
  minLength: 1,
  maxLength: 200,
  description: 'The token from the mailed link',
  examples: ['the-token-of-the-link'],
})
export const RegistrationToken = Type.String({
  minLength: 1,
  maxLength: 64,
  description: 'The token that the registration was answered with, or its cookie instead',
})
export const NoContent = Type.Null({ description: 'Done' })

export const User = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    email: Type.String({ description: 'The address, with an international domain in Unicode' }),
    email_verified: Type.Boolean(),
    name: Type.Union([Type.String(), Type.Null()]),
    locale: Type.Union([Type.String(), Type.Null()], { description: 'The language of mails (BCP 47)' }),
    roles: Type.Array(Type.String()),
    mfa_enabled: Type.Boolean(),
    created_at: Type.String({ format: 'date-time' }),
    updated_at: Type.String({ format: 'date-time' }),
  },
  { ...strict, title: 'User' },
)
export type User = Static<typeof User>

const Session = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    expires_at: Type.String({ format: 'date-time', description: 'When it ends without a refresh' }),
  },
  { title: 'Session' },
)
export const TokenResponse = Type.Object(
  {
    access_token: Type.String(),
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ description: 'Seconds' }),
    scope: Type.Optional(Type.String({ description: 'Only with `resource`: what the token allows there' })),
    session: Session,
    refresh_token: Type.Optional(Type.String({ description: 'Body transport only' })),
    device_token: Type.Optional(
      Type.String({ description: 'Only after a sign-in with body transport: send it with the next sign-in' }),
    ),
    user: Type.Optional(User),
  },
  { ...strict, title: 'TokenResponse' },
)
export type TokenResponse = Static<typeof TokenResponse>

export const CurrentSession = Type.Object(
  { session: Session, user: User },
  { ...strict, title: 'CurrentSession' },
)

/** The columns of a user that the user can see. */
export interface UserRow {
  id: string
  email: string
  emailVerifiedAt: Date | null
  name: string | null
  locale: string | null
  roles: string[]
  createdAt: Date
  updatedAt: Date
}

/** A user as shown to the user. Every field is listed, so that a new column is never leaked. */
export function presentUser(row: UserRow, mfaEnabled: boolean): User {
  return {
    id: row.id,
    email: shownAddress(row.email),
    email_verified: row.emailVerifiedAt !== null,
    name: row.name,
    locale: row.locale,
    roles: row.roles,
    mfa_enabled: mfaEnabled,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  }
}

/** The canonical form of an address. @throws `validation_failed` with `pointer` as the location. */
export function canonicalEmail(input: string, pointer = '/email'): string {
  const email = canonicalAddress(input)
  if (email !== null) return email
  throw new Problem('validation_failed', { errors: [{ pointer, detail: 'must be an e-mail address' }] })
}
