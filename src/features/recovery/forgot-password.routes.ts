import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { addressPage } from '../../http/address-page.ts'
import type { Interactions } from '../../http/interactions.ts'
import { type RequestPasswordResetUses, requestPasswordReset } from './request-password-reset.ts'

export const FORGOT_PASSWORD = '/auth/forgot-password'

export type ForgotPasswordPageUses = RequestPasswordResetUses & { interactions: Interactions }

/** The page where people ask for a reset link. */
export const forgotPasswordPage: FastifyPluginAsyncTypebox<ForgotPasswordPageUses> = async (app, uses) => {
  await addressPage(app, {
    path: FORGOT_PASSWORD,
    texts: 'forgot_password',
    limit: 'request_password_reset',
    tags: ['password reset'],
    operations: { show: 'showForgotPasswordPage', submit: 'submitForgotPasswordForm' },
    summary: 'request a link',
    instead: '/auth/request-password-reset',
    interactions: uses.interactions,
    send: (email, context) => requestPasswordReset(uses, email, context),
  })
}
