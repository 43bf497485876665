import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Authenticate } from '../../http/authenticate.ts'
import type { RateLimits } from '../../http/rate-limit.ts'
import { requestContext } from '../../http/request-origin.ts'
import { NoContent, STEP_UP, StepUpBody, stepUpProblems, strict, TotpCode } from '../../http/schemas.ts'
import { type ConfirmTotpDeps, confirmTotp } from './confirm-totp.ts'
import { type CreateRecoveryCodesDeps, createRecoveryCodes } from './create-recovery-codes.ts'
import { type DisableTotpDeps, disableTotp } from './disable-totp.ts'
import { type EnrolTotpDeps, enrolTotp } from './enrol-totp.ts'

export interface TwoFactorDeps
  extends EnrolTotpDeps,
    ConfirmTotpDeps,
    DisableTotpDeps,
    CreateRecoveryCodesDeps {
  authenticate: Authenticate
  rateLimits: RateLimits
}

const ConfirmBody = Type.Object({ code: TotpCode }, strict)
const Factors = Type.Object({
  totp: Type.Boolean({ description: 'Whether an authenticator app is in use' }),
  passkeys: Type.Integer(),
  recovery_codes: Type.Integer({ description: 'How many are left' }),
})
const Enrolment = Type.Object({
  secret: Type.String({ description: 'Base32, to type in where no camera is' }),
  otpauth_uri: Type.String({ description: 'What the QR code says' }),
  qr_svg: Type.String({ description: 'The QR code as an SVG image, black on white' }),
})
const Codes = Type.Object({ recovery_codes: Type.Array(Type.String(), { description: 'Shown this once' }) })

/** The authenticator app and the recovery codes of an account. */
export const twoFactor: FastifyPluginAsyncTypebox<TwoFactorDeps> = async (app, deps) => {
  const { db, authenticate, rateLimits, totp, passkeys, recoveryCodes } = deps
  const limitPassword = rateLimits.limit('password_check', 20, 60)
  const onRequest = [authenticate, limitPassword]
  const tags = ['second factor']
  const security = [{ bearer: [] }]

  app.get(
    '/auth/mfa',
    {
      onRequest: authenticate,
      schema: { tags, security, summary: 'The second factors of this account', response: { 200: Factors } },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      const { sub } = request.session
      return {
        totp: await totp.enabled(db, sub),
        passkeys: await passkeys.count(db, sub),
        recovery_codes: await recoveryCodes.count(db, sub),
      }
    },
  )

  app.post(
    '/auth/mfa/totp',
    {
      onRequest,
      schema: {
        tags,
        security,
        summary: 'Begin to set up an authenticator app',
        description: `It counts once \`POST /auth/mfa/totp/confirm\` had a code of it. ${STEP_UP}`,
        body: StepUpBody,
        response: { 200: Enrolment },
        problems: [...stepUpProblems, 'mfa_already_enabled'],
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      const enrolment = await enrolTotp(deps, request.session, request.body, requestContext(request))
      const { secret, otpauthUri, qrSvg } = enrolment
      return { secret, otpauth_uri: otpauthUri, qr_svg: qrSvg }
    },
  )

  app.post(
    '/auth/mfa/totp/confirm',
    {
      onRequest,
      schema: {
        tags,
        security,
        summary: 'Turn the authenticator app on with a code of it',
        description: '404 where no authenticator app is being set up.',
        body: ConfirmBody,
        response: { 200: Codes },
        problems: ['mfa_invalid', 'mfa_already_enabled', 'not_found', 'too_many_attempts'],
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      const { code } = request.body
      return { recovery_codes: await confirmTotp(deps, request.session, code, requestContext(request)) }
    },
  )

  app.delete(
    '/auth/mfa/totp',
    {
      onRequest,
      schema: {
        tags,
        security,
        summary: 'Turn the authenticator app off',
        description: `404 where there is none. The last second factor takes the recovery codes with it. ${STEP_UP}`,
        body: StepUpBody,
        response: { 204: NoContent },
        problems: [...stepUpProblems, 'password_too_weak', 'not_found'],
      },
    },
    async (request, reply) => {
      await disableTotp(deps, request.session, request.body, requestContext(request))
      return reply.status(204).send(null)
    },
  )

  app.post(
    '/auth/mfa/recovery-codes',
    {
      onRequest,
      schema: {
        tags,
        security,
        summary: 'New recovery codes in place of the old ones',
        description: `404 for an account without a second factor. ${STEP_UP}`,
        body: StepUpBody,
        response: { 200: Codes },
        problems: [...stepUpProblems, 'not_found'],
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      const codes = await createRecoveryCodes(deps, request.session, request.body, requestContext(request))
      return { recovery_codes: codes }
    },
  )
}
