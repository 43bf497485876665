import { createPasskey, usePasskey } from './passkeys.ts'
import type { Schemas, StepUp } from './schemas.ts'
import type { User } from './tokens.ts'
import type { Call } from './transport.ts'

type Act = <Answer = void>(method: string, path: string, body?: unknown) => Promise<Answer>

const segment = (id: string) => encodeURIComponent(id)

/** What people do with their account. Each is one call of the server; docs/errors.md lists how it can fail. */
export const accountCalls = (call: Call, act: Act, update: (user: User) => User) => ({
  resendVerification: (email: string) =>
    call<Schemas['VerificationSent']>('POST', '/auth/resend-verification', { body: { email } }),
  /** With `token` of the mailed link, and the registration's token (or its cookie) or a password. */
  verifyEmail: (body: Schemas['VerifyEmailRequest']) =>
    call<Schemas['VerifyEmailResponse']>('POST', '/auth/verify-email', { body }),
  requestPasswordReset: (email: string) =>
    call<Schemas['RequestPasswordResetResponse']>('POST', '/auth/request-password-reset', {
      body: { email },
    }),
  resetPassword: (body: Schemas['ResetPasswordRequest']) => call('POST', '/auth/reset-password', { body }),
  confirmEmailChange: (token: string) =>
    call<Schemas['ConfirmEmailChangeResponse']>('POST', '/auth/confirm-email-change', { body: { token } }),

  updateUser: async (changes: Schemas['ChangeAccountRequest']) =>
    update(await act<User>('PATCH', '/me', changes)),
  deleteAccount: (proof: StepUp) => act('DELETE', '/me', proof),
  changePassword: (body: Schemas['ChangePasswordRequest']) => act('POST', '/auth/change-password', body),
  requestEmailChange: (body: Schemas['RequestEmailChangeRequest']) =>
    act<Schemas['RequestEmailChangeResponse']>('POST', '/auth/change-email', body),

  listSessions: async ({ ended = false } = {}) =>
    (await act<Schemas['ListSessionsResponse']>('GET', `/auth/sessions?ended=${ended}`)).sessions,
  endSession: (id: string) => act('DELETE', `/auth/sessions/${segment(id)}`),
  endOtherSessions: () => act('DELETE', '/auth/sessions'),
  listActivity: ({ cursor, limit = 50 }: { cursor?: string; limit?: number } = {}) =>
    act<Schemas['ListActivityResponse']>(
      'GET',
      `/auth/activity?limit=${limit}${cursor ? `&cursor=${segment(cursor)}` : ''}`,
    ),
  listGrants: async () => (await act<Schemas['ListGrantsResponse']>('GET', '/auth/grants')).grants,
  withdrawGrant: (clientId: string) => act('DELETE', `/auth/grants?client_id=${segment(clientId)}`),

  getFactors: () => act<Schemas['SecondFactors']>('GET', '/auth/mfa'),
  startTotp: (proof: StepUp) => act<Schemas['StartTotpResponse']>('POST', '/auth/mfa/totp', proof),
  confirmTotp: (code: string) => act<Schemas['RecoveryCodes']>('POST', '/auth/mfa/totp/confirm', { code }),
  removeTotp: (proof: StepUp) => act('DELETE', '/auth/mfa/totp', proof),
  replaceRecoveryCodes: (proof: StepUp) =>
    act<Schemas['RecoveryCodes']>('POST', '/auth/mfa/recovery-codes', proof),
  listPasskeys: async () => (await act<Schemas['ListPasskeysResponse']>('GET', '/auth/passkeys')).passkeys,
  async addPasskey(proof: StepUp, name?: string): Promise<Schemas['AddPasskeyResponse']> {
    const created = await createPasskey(await act('POST', '/auth/passkeys/options', proof))
    return act('POST', '/auth/passkeys', { ...created, name })
  },
  /** The second factor of a proof, by a passkey: give it with the password. `passkey_not_used` if the person declines. */
  proveByPasskey: async () => ({
    passkey: await usePasskey(await act('POST', '/auth/passkeys/challenge', {})),
  }),
  removePasskey: (id: string, proof: StepUp) => act('DELETE', `/auth/passkeys/${segment(id)}`, proof),
})
