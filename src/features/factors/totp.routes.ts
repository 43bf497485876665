import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Uses } from '../../core/uses.ts'
import { userOf } from '../../http/principal.ts'
import { contextOf } from '../../http/request-context.ts'
import { NoContent, STEP_UP, StepUpBody, stepUpProblems, strict, TotpCode } from '../../http/schemas.ts'
import { type ConfirmTotpUses, confirmTotp } from './confirm-totp.ts'
import { type CreateRecoveryCodesUses, createRecoveryCodes } from './create-recovery-codes.ts'
import { type DisableTotpUses, disableTotp } from './disable-totp.ts'
import { type EnrolTotpUses, enrolTotp } from './enrol-totp.ts'

export type TotpUses = EnrolTotpUses &
  ConfirmTotpUses &
  DisableTotpUses &
  CreateRecoveryCodesUses &
  Uses<'factorResets'>

const ConfirmBody = Type.Object({ code: TotpCode }, strict)
const Factors = Type.Object(
  {
    totp: Type.Boolean({ description: 'Whether an authenticator app is in use' }),
    passkeys: Type.Integer(),
    recovery_codes: Type.Integer({ description: 'The number of unused codes' }),
    reset: Type.Union(
      [
        Type.Object({
          requested_at: Type.String({ format: 'date-time' }),
          effective_at: Type.String({ format: 'date-time' }),
        }),
        Type.Null(),
      ],
      {
        description:
          'A removal of the factors that an administrator asked for; `DELETE /auth/mfa/reset` stops it',
      },
    ),
  },
  { title: 'SecondFactors' },
)
const Enrolment = Type.Object({
  secret: Type.String({ description: 'The secret in base32, to type in on a device without a camera' }),
  otpauth_uri: Type.String({ description: 'The content of the QR code' }),
  qr_svg: Type.String({ description: 'The QR code as an SVG image, black on white' }),
})
const Codes = Type.Object(
  { recovery_codes: Type.Array(Type.String(), { description: 'Shown only once' }) },
  { title: 'RecoveryCodes' },
)

/** The authenticator app and the recovery codes of a user's own account. */
export const totpRoutes: FastifyPluginAsyncTypebox<TotpUses> = async (app, uses) => {
  const config = { auth: 'user', limit: 'password_check' } as const
  const tags = ['second factor']

  app.get(
    '/auth/mfa',
    {
      config: { auth: 'user' },
      schema: {
        operationId: 'getFactors',
        tags,
        summary: 'Get the second factors of your account',
        description: 'How many there are of each kind; never the factors themselves.',
        response: { 200: Factors },
      },
    },
    async (request) => {
      const { userId } = userOf(request)
      const { totp, passkeys, recoveryCodes } = await uses.factors.of(uses.db, userId)
      const pending = (await uses.factorResets.pending(uses.db, [userId])).get(userId)
      const reset = pending && {
        requested_at: pending.requestedAt.toISOString(),
        effective_at: pending.effectiveAt.toISOString(),
      }
      return { totp, passkeys, recovery_codes: recoveryCodes, reset: reset ?? null }
    },
  )

  app.post(
    '/auth/mfa/totp',
    {
      config,
      schema: {
        operationId: 'startTotp',
        tags,
        summary: 'Start setting up an authenticator app',
        description: `It takes effect after \`POST /auth/mfa/totp/confirm\` with a code from it. ${STEP_UP}`,
        body: StepUpBody,
        response: { 200: Enrolment },
        problems: [...stepUpProblems, 'mfa_already_enabled'],
      },
    },
    async (request) => {
      const enrolment = await enrolTotp(uses, userOf(request), request.body, contextOf(request))
      const { secret, otpauthUri, qrSvg } = enrolment
      return { secret, otpauth_uri: otpauthUri, qr_svg: qrSvg }
    },
  )

  app.post(
    '/auth/mfa/totp/confirm',
    {
      config,
      schema: {
        operationId: 'confirmTotp',
        tags,
        summary: 'Turn the authenticator app on with a code from it',
        description: 'Returns 404 if no authenticator app is being set up.',
        body: ConfirmBody,
        response: { 200: Codes },
        problems: ['mfa_invalid', 'mfa_already_enabled', 'not_found', 'too_many_attempts'],
      },
    },
    async (request) => {
      const { code } = request.body
      return { recovery_codes: await confirmTotp(uses, userOf(request), code, contextOf(request)) }
    },
  )

  app.delete(
    '/auth/mfa/totp',
    {
      config,
      schema: {
        operationId: 'removeTotp',
        tags,
        summary: 'Turn the authenticator app off',
        description: `Returns 404 without one. Removing the last second factor also deletes the recovery codes. ${STEP_UP}`,
        body: StepUpBody,
        response: { 204: NoContent },
        problems: [...stepUpProblems, 'password_too_weak', 'not_found'],
      },
    },
    async (request, reply) => {
      await disableTotp(uses, userOf(request), request.body, contextOf(request))
      return reply.status(204).send(null)
    },
  )

  app.post(
    '/auth/mfa/recovery-codes',
    {
      config,
      schema: {
        operationId: 'replaceRecoveryCodes',
        tags,
        summary: 'Replace the recovery codes',
        description: `Returns 404 if the account has no second factor. ${STEP_UP}`,
        body: StepUpBody,
        response: { 200: Codes },
        problems: [...stepUpProblems, 'not_found'],
      },
    },
    async (request) => {
      const codes = await createRecoveryCodes(uses, userOf(request), request.body, contextOf(request))
      return { recovery_codes: codes }
    },
  )
}
