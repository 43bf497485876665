import { Type } from 'typebox'
import { PasskeyDescriptor } from '../../http/schemas.ts'

/** The input of `PublicKeyCredential.parseCreationOptionsFromJSON` (WebAuthn Level 3, §5.1.8), with its ticket. */
export const CreationChallenge = Type.Object(
  {
    challenge_token: Type.String({
      description: 'Send it back with the credential: it works once, for five minutes',
    }),
    options: Type.Object({
      rp: Type.Object({ id: Type.Optional(Type.String()), name: Type.String() }),
      user: Type.Object({ id: Type.String(), name: Type.String(), displayName: Type.String() }),
      challenge: Type.String(),
      pubKeyCredParams: Type.Array(Type.Object({ alg: Type.Integer(), type: Type.Literal('public-key') })),
      timeout: Type.Optional(Type.Integer({ description: 'Milliseconds' })),
      excludeCredentials: Type.Optional(Type.Array(PasskeyDescriptor)),
      authenticatorSelection: Type.Optional(
        Type.Object({
          residentKey: Type.Optional(Type.String()),
          requireResidentKey: Type.Optional(Type.Boolean()),
          userVerification: Type.Optional(Type.String()),
        }),
      ),
      attestation: Type.Optional(Type.String()),
      extensions: Type.Optional(Type.Object({ credProps: Type.Optional(Type.Boolean()) })),
    }),
  },
  { title: 'PasskeyCreation' },
)

/** The output of a new credential's `toJSON`. Its content is checked when it is verified. */
export const NewCredential = Type.Object(
  {
    id: Type.String({ minLength: 1, maxLength: 2048 }),
    rawId: Type.String({ minLength: 1, maxLength: 2048 }),
    type: Type.Literal('public-key'),
    response: Type.Object(
      {
        clientDataJSON: Type.String({ maxLength: 8192 }),
        attestationObject: Type.String({ maxLength: 12_288 }),
        // Null from browsers that cannot tell.
        transports: Type.Optional(
          Type.Unsafe<string[] | null>({
            type: ['array', 'null'],
            items: { type: 'string', maxLength: 64 },
            maxItems: 16,
          }),
        ),
      },
      { additionalProperties: true },
    ),
    clientExtensionResults: Type.Object({}, { additionalProperties: true }),
  },
  { title: 'NewPasskey', additionalProperties: true },
)
