import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { RegistrationResponseJSON } from '@simplewebauthn/server'
import { type Static, Type } from 'typebox'
import type { PasskeyView } from '../../core/factors/passkeys/passkeys.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Authenticate } from '../../http/authenticate.ts'
import type { RateLimits } from '../../http/rate-limit.ts'
import { requestContext } from '../../http/request-origin.ts'
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
import { addPasskey, offerPasskey } from './add-passkey.ts'
import { CreationChallenge, NewCredential } from './passkey-schemas.ts'
import { type RemovePasskeyDeps, removePasskey } from './remove-passkey.ts'

export interface PasskeysDeps extends RemovePasskeyDeps {
  authenticate: Authenticate
  rateLimits: RateLimits
}

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
export const ownPasskeys: FastifyPluginAsyncTypebox<PasskeysDeps> = async (app, deps) => {
  const { authenticate, rateLimits, db } = deps
  const limitPassword = rateLimits.limit('password_check', 20, 60)
  const limitPasskey = rateLimits.limit('passkey', 30, 60)
  const tags = ['passkeys']
  const security = [{ bearer: [] }]

  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store')
    done()
  })

  app.post(
    '/auth/passkeys/options',
    {
      onRequest: [authenticate, limitPassword],
      schema: {
        tags,
        security,
        summary: 'Begin to add a passkey',
        description: `Give \`options\` to the browser, then go on at \`POST /auth/passkeys\`. ${STEP_UP}`,
        body: StepUpBody,
        response: { 200: CreationChallenge },
        problems: [...stepUpProblems, 'too_many_passkeys'],
      },
    },
    async (request) => {
      const { session, body } = request
      const { challengeToken, options } = await offerPasskey(deps, session, body, requestContext(request))
      return { challenge_token: challengeToken, options }
    },
  )

  app.post(
    '/auth/passkeys',
    {
      onRequest: [authenticate, limitPasskey],
      schema: {
        tags,
        security,
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
      const { passkey, codes } = await addPasskey(deps, request.session, input, requestContext(request))
      return reply
        .status(201)
        .send({ passkey: present(passkey), ...(codes ? { recovery_codes: codes } : {}) })
    },
  )

  app.get(
    '/auth/passkeys',
    {
      onRequest: authenticate,
      schema: {
        tags,
        security,
        summary: 'The passkeys of this account',
        response: { 200: Type.Object({ passkeys: Type.Array(Passkey) }) },
      },
    },
    async (request) => ({ passkeys: (await deps.passkeys.list(db, request.session.sub)).map(present) }),
  )

  app.delete(
    '/auth/passkeys/:id',
    {
      onRequest: [authenticate, limitPassword],
      schema: {
        tags,
        security,
        summary: 'Remove a passkey',
        params: Type.Object({ id: Uuid }),
        description: `The last second factor takes the recovery codes with it. ${STEP_UP}`,
        body: StepUpBody,
        response: { 204: NoContent },
        problems: [...stepUpProblems, 'password_too_weak', 'not_found'],
      },
    },
    async (request, reply) => {
      await removePasskey(deps, request.session, request.params.id, request.body, requestContext(request))
      return reply.status(204).send(null)
    },
  )

  app.post(
    '/auth/passkeys/challenge',
    {
      onRequest: [authenticate, limitPasskey],
      schema: {
        tags,
        security,
        summary: 'A challenge for a call that asks for a second factor',
        description:
          'What the browser makes of it is the `passkey` of that call. 404 for an account without passkeys.',
        body: Type.Object({}, strict),
        response: { 200: PasskeyChallenge },
        problems: ['not_found'],
      },
    },
    async (request) => {
      const userId = request.session.sub
      // Without a list to choose from, the browser would offer passkeys of other accounts.
      if ((await deps.passkeys.count(db, userId)) === 0) throw new Problem('not_found')
      const { challengeToken, options } = await deps.passkeys.assertionOptions(db, 'step_up', userId)
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
