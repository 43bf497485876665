import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { RegistrationResponseJSON } from '@simplewebauthn/server'
import { type Static, Type } from 'typebox'
import type { PasskeyView } from '../../core/factors/factors.ts'
import { Problem } from '../../core/problems/problems.ts'
import { userOf } from '../../http/principal.ts'
import { contextOf } from '../../http/request-context.ts'
import {
  Name,
  NoContent,
  PasskeyChallenge,
  STEP_UP,
  StepUpBody,
  stepUpProblems,
  strict,
  Uuid,
} from '../../http/schemas.ts'
import { spellName } from '../../platform/name.ts'
import { type AddPasskeyUses, addPasskey, offerPasskey } from './add-passkey.ts'
import { CreationChallenge, NewCredential } from './passkey-schemas.ts'
import { type RemovePasskeyUses, removePasskey } from './remove-passkey.ts'

export type PasskeysUses = AddPasskeyUses & RemovePasskeyUses

const Passkey = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    credential_id: Type.String({
      description: 'The id that the authenticator knows, in base64url, for `signalAllAcceptedCredentials`',
    }),
    name: Type.String(),
    backed_up: Type.Boolean({
      description: 'Whether the passkey is backed up, for example synced to other devices',
    }),
    created_at: Type.String({ format: 'date-time' }),
    last_used_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
  },
  { title: 'Passkey' },
)
const Added = Type.Object({
  passkey: Passkey,
  recovery_codes: Type.Optional(
    Type.Array(Type.String(), { description: 'Only with the first second factor, and shown only once' }),
  ),
})
const AddBody = Type.Object(
  {
    challenge_token: Type.String({ minLength: 1, maxLength: 1024 }),
    credential: NewCredential,
    name: Type.Optional(Name),
  },
  strict,
)
const DEFAULT_NAME = 'Passkey'

/** The passkeys of a user's own account: add, list, remove, and get a challenge for a step-up. */
export const passkeyRoutes: FastifyPluginAsyncTypebox<PasskeysUses> = async (app, uses) => {
  const { db } = uses
  const { passkeys } = uses.factors
  const tags = ['passkeys']

  app.post(
    '/auth/passkeys/options',
    {
      config: { auth: 'user', limit: 'password_check' },
      schema: {
        operationId: 'startPasskey',
        tags,
        summary: 'Start adding a passkey',
        description: `Pass \`options\` to the browser, then call \`POST /auth/passkeys\`. ${STEP_UP}`,
        body: StepUpBody,
        response: { 200: CreationChallenge },
        problems: [...stepUpProblems, 'too_many_passkeys'],
      },
    },
    async (request) => {
      const principal = userOf(request)
      const offer = await offerPasskey(uses, principal, request.body, contextOf(request))
      const { challengeToken, options } = offer
      return { challenge_token: challengeToken, options }
    },
  )

  app.post(
    '/auth/passkeys',
    {
      config: { auth: 'user', limit: 'passkey' },
      schema: {
        operationId: 'addPasskey',
        tags,
        summary: 'Add a passkey',
        description:
          'Send the credential that the browser created from `POST /auth/passkeys/options`. If this is the first ' +
          'second factor of the account, the response includes `recovery_codes`: show them, they are returned only once.',
        body: AddBody,
        response: { 201: Added },
        problems: ['passkey_invalid', 'too_many_passkeys'],
      },
    },
    async (request, reply) => {
      const { challenge_token: challengeToken, name = DEFAULT_NAME } = request.body
      const credential = request.body.credential as RegistrationResponseJSON
      const input = { challengeToken, credential, name: spellName(name) }
      const { passkey, codes } = await addPasskey(uses, userOf(request), input, contextOf(request))
      return reply
        .status(201)
        .send({ passkey: present(passkey), ...(codes ? { recovery_codes: codes } : {}) })
    },
  )

  app.get(
    '/auth/passkeys',
    {
      config: { auth: 'user' },
      schema: {
        operationId: 'listPasskeys',
        tags,
        summary: 'List the passkeys of your account',
        description:
          'The list is complete, so that the browser can be told with ' +
          '`PublicKeyCredential.signalAllAcceptedCredentials` which passkeys to keep.',
        response: { 200: Type.Object({ passkeys: Type.Array(Passkey) }) },
      },
    },
    async (request) => ({ passkeys: (await passkeys.list(db, userOf(request).userId)).map(present) }),
  )

  app.delete(
    '/auth/passkeys/:id',
    {
      config: { auth: 'user', limit: 'password_check' },
      schema: {
        operationId: 'removePasskey',
        tags,
        summary: 'Remove a passkey',
        params: Type.Object({ id: Uuid }),
        description: `Removing the last second factor also deletes the recovery codes. ${STEP_UP}`,
        body: StepUpBody,
        response: { 204: NoContent },
        problems: [...stepUpProblems, 'password_too_weak', 'not_found'],
      },
    },
    async (request, reply) => {
      await removePasskey(uses, userOf(request), request.params.id, request.body, contextOf(request))
      return reply.status(204).send(null)
    },
  )

  app.post(
    '/auth/passkeys/challenge',
    {
      config: { auth: 'user', limit: 'passkey' },
      schema: {
        operationId: 'challengePasskey',
        tags,
        summary: 'Get a challenge for a call that asks for a second factor',
        description:
          'Send the browser’s answer to it as `passkey` in that call. Returns 404 if the account has no passkeys.',
        body: Type.Object({}, strict),
        response: { 200: PasskeyChallenge },
        problems: ['not_found'],
      },
    },
    async (request) => {
      const { userId } = userOf(request)
      // Without a list to choose from, the browser would offer passkeys of other accounts.
      if ((await uses.factors.of(db, userId)).passkeys === 0) throw new Problem('not_found')
      const { challengeToken, options } = await passkeys.assertionOptions(db, 'step_up', userId)
      return { challenge_token: challengeToken, options }
    },
  )
}

const present = ({
  id,
  credentialId,
  name,
  backedUp,
  createdAt,
  lastUsedAt,
}: PasskeyView): Static<typeof Passkey> => ({
  id,
  credential_id: credentialId,
  name,
  backed_up: backedUp,
  created_at: createdAt.toISOString(),
  last_used_at: lastUsedAt?.toISOString() ?? null,
})
