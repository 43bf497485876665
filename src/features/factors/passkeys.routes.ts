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
import { type AddPasskeyUses, addPasskey, offerPasskey } from './add-passkey.ts'
import { CreationChallenge, NewCredential } from './passkey-schemas.ts'
import { type RemovePasskeyUses, removePasskey } from './remove-passkey.ts'

export type PasskeysUses = AddPasskeyUses & RemovePasskeyUses

const Passkey = Type.Object({
  id: Type.String({ format: 'uuid' }),
  name: Type.String(),
  backed_up: Type.Boolean({ description: 'Whether copies of it are kept elsewhere' }),
  created_at: Type.String({ format: 'date-time' }),
  last_used_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
})
const Added = Type.Object({
  passkey: Passkey,
  recovery_codes: Type.Optional(
    Type.Array(Type.String(), { description: 'With the first second factor; shown once' }),
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

/** The passkeys of an account: add, list, remove, and a challenge to prove again who is there. */
export const passkeyRoutes: FastifyPluginAsyncTypebox<PasskeysUses> = async (app, uses) => {
  const { db } = uses
  const { passkeys } = uses.factors
  const tags = ['passkeys']

  app.post(
    '/auth/passkeys/options',
    {
      config: { auth: 'user', limit: 'password_check' },
      schema: {
        tags,
        summary: 'Begin to add a passkey',
        description: `Give \`options\` to the browser, then go on at \`POST /auth/passkeys\`. ${STEP_UP}`,
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
        tags,
        summary: 'Add a passkey',
        description:
          'The credential that the browser made of `POST /auth/passkeys/options`. With the first second factor of the ' +
          'account `recovery_codes` come along: show them, they are told this once.',
        body: AddBody,
        response: { 201: Added },
        problems: ['passkey_invalid', 'too_many_passkeys'],
      },
    },
    async (request, reply) => {
      const { challenge_token: challengeToken, name = DEFAULT_NAME } = request.body
      const credential = request.body.credential as RegistrationResponseJSON
      const input = { challengeToken, credential, name }
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
        tags,
        summary: 'The passkeys of this account',
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
        tags,
        summary: 'Remove a passkey',
        params: Type.Object({ id: Uuid }),
        description: `The last second factor takes the recovery codes with it. ${STEP_UP}`,
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
        tags,
        summary: 'A challenge for a call that asks for a second factor',
        description:
          'What the browser makes of it is the `passkey` of that call. 404 for an account without passkeys.',
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

const present = ({ id, name, backedUp, createdAt, lastUsedAt }: PasskeyView): Static<typeof Passkey> => ({
  id,
  name,
  backed_up: backedUp,
  created_at: createdAt.toISOString(),
  last_used_at: lastUsedAt?.toISOString() ?? null,
})
