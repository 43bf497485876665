import { randomUUID } from 'node:crypto'
import { createAuthenticator } from '../../../test/support/authenticator.ts'
import { totpCode } from '../../../test/support/totp.ts'
import type { Sampled } from '../sample.ts'
import type { Recorder } from './recorder.ts'

/** People whose accounts the tour uses, each for one purpose. */
export interface People {
  administrator: Sampled
  /** Is changed by the administrator. */
  target: Sampled
  /** Is deleted by the administrator. */
  doomed: Sampled
}

const PASSWORD = 'a perfectly long passphrase'
const NEXT_PASSWORD = 'another perfectly long passphrase'

/** Calls the routes of the server's own apps, as a person and as an administrator. */
export async function callOwnApi(
  { call, get, post, mailed }: Recorder,
  { administrator, target, doomed }: People,
): Promise<void> {
  const email = `tour-${randomUUID()}@example.test`
  const login = (password: string, address = email) =>
    post('/auth/login', { email: address, password, transport: 'body' })

  async function register(): Promise<void> {
    await post('/auth/register', { email, password: PASSWORD, name: 'Tour' })
    await post('/auth/resend-verification', { email })
    const token = await mailed(email, /verify-email/)
    await get(`/auth/verify-email?token=${token}`)
    await post('/auth/verify-email', { token, password: PASSWORD })
  }

  async function useSessions(): Promise<string> {
    const { access_token, refresh_token } = await login(PASSWORD)
    const other = await login(PASSWORD)
    await get('/me', access_token)
    await call('PATCH', '/me', { body: { name: 'Tour again' }, bearer: access_token })
    await call('GET', '/auth/session', { cookie: `ratchet-dev=${refresh_token}` })
    await get('/auth/sessions', access_token)
    await get('/auth/sessions?ended=true', access_token)
    await get('/auth/activity', access_token)
    const activity = await get('/auth/activity?limit=2', access_token)
    await get(`/auth/activity?cursor=${activity.next_cursor}`, access_token)
    await call('DELETE', `/auth/sessions/${other.session.id}`, { bearer: access_token })
    await call('GET', '/me', { bearer: other.access_token, refused: true })
    const next = await post('/auth/refresh', { refresh_token })
    const third = await post('/auth/refresh', { refresh_token: next.refresh_token })
    await login(PASSWORD)
    await call('DELETE', '/auth/sessions', { bearer: access_token })
    const thief = await login(PASSWORD)
    const once = await post('/auth/refresh', { refresh_token: thief.refresh_token })
    await post('/auth/refresh', { refresh_token: once.refresh_token })
    await call('POST', '/auth/refresh', { body: { refresh_token: thief.refresh_token }, refused: true })
    await call('POST', '/auth/refresh', { body: { refresh_token: other.refresh_token }, refused: true })
    return third.access_token as string
  }

  async function useFactors(bearer: string): Promise<void> {
    const authenticator = createAuthenticator()
    const offer = await post('/auth/passkeys/options', { password: PASSWORD }, bearer)
    const { passkey, recovery_codes: codes } = await post(
      '/auth/passkeys',
      { challenge_token: offer.challenge_token, credential: authenticator.create(offer.options) },
      bearer,
    )
    await get('/auth/passkeys', bearer)
    await get('/auth/mfa', bearer)
    await post('/auth/passkeys/challenge', {}, bearer)
    const asked = await post('/auth/login/passkey/options', {})
    const credential = authenticator.get(asked.options)
    await post('/auth/login/passkey', {
      challenge_token: asked.challenge_token,
      credential,
      transport: 'body',
    })
    const proof = () => ({ password: PASSWORD, recovery_code: codes.pop() })
    const { secret } = await post('/auth/mfa/totp', proof(), bearer)
    const confirmed = await post('/auth/mfa/totp/confirm', { code: totpCode(secret, Date.now()) }, bearer)
    codes.splice(0, codes.length, ...confirmed.recovery_codes)
    const halfway = { email, password: PASSWORD, transport: 'body' }
    const { mfa_token } = await call('POST', '/auth/login', { body: halfway, refused: true })
    await post('/auth/login/mfa', { mfa_token, recovery_code: codes.pop() })
    const renewed = await post('/auth/mfa/recovery-codes', proof(), bearer)
    codes.splice(0, codes.length, ...renewed.recovery_codes)
    await keepFactors(bearer)
    await call('DELETE', '/auth/mfa/totp', { body: proof(), bearer })
    await call('DELETE', `/auth/passkeys/${passkey.id}`, { body: proof(), bearer })
  }

  /** Removals of factors, each stopped in another way. */
  async function keepFactors(bearer: string): Promise<void> {
    const { id } = await get('/me', bearer)
    const byAdministrator = { body: {}, bearer: administrator.accessToken() }
    const path = `/admin/users/${id}/reset-factors`
    await call('POST', path, byAdministrator)
    const keep = await mailed(email, /keep-factors/)
    await get(`/auth/keep-factors?token=${keep}`)
    await post('/auth/keep-factors', { token: keep })
    await call('POST', path, byAdministrator)
    await call('DELETE', '/auth/mfa/reset', { bearer })
    await call('POST', path, byAdministrator)
    await call('DELETE', path, byAdministrator)
  }

  async function exportAccount(): Promise<void> {
    const { access_token: bearer } = await login(PASSWORD)
    await post('/me/export', { password: PASSWORD }, bearer)
    await call('GET', '/me/export', { bearer, refused: true })
  }

  async function changeAndRecover(): Promise<void> {
    const { access_token: bearer } = await login(PASSWORD)
    const moved = `moved-${email}`
    await post('/auth/change-email', { password: PASSWORD, new_email: moved }, bearer)
    const change = await mailed(moved, /confirm-email-change/)
    await get(`/auth/confirm-email-change?token=${change}`)
    await post('/auth/confirm-email-change', { token: change })
    const again = await login(PASSWORD, moved)
    const passwords = { current_password: PASSWORD, new_password: NEXT_PASSWORD }
    await post('/auth/change-password', passwords, again.access_token)
    for (let guess = 0; guess < 11; guess++) {
      const body = { email: moved, password: `wrong ${guess}`, transport: 'body' }
      await call('POST', '/auth/login', { body, refused: true })
    }
    const unlock = await mailed(moved, /unlock/)
    await get(`/auth/unlock?token=${unlock}`)
    await post('/auth/unlock', { token: unlock })
    await get('/auth/forgot-password')
    await post('/auth/forgot-password', { email: moved })
    await post('/auth/request-password-reset', { email: moved })
    const reset = await mailed(moved, /reset-password/)
    await get(`/auth/reset-password?token=${reset}`)
    await post('/auth/reset-password', { token: reset, password: PASSWORD })
    const { refresh_token } = await login(PASSWORD, moved)
    await post('/auth/logout', { refresh_token })
    const all = await login(PASSWORD, moved)
    await call('POST', '/auth/logout-all', { bearer: all.access_token })
    const last = await login(PASSWORD, moved)
    await call('DELETE', '/me', { body: { password: PASSWORD }, bearer: last.access_token })
  }

  async function administer(): Promise<void> {
    const bearer = administrator.accessToken()
    const { next_cursor: users } = await get('/admin/users', bearer)
    for (const query of [
      `cursor=${users}`,
      'query=kowalski',
      'query=nobody%20at%20all',
      `query=${target.email}`,
    ]) {
      await get(`/admin/users?${query}`, bearer)
    }
    const { next_cursor: events } = await get('/admin/audit', bearer)
    const ofUser = `user_id=${target.userId}`
    for (const query of [`cursor=${events}`, 'type=refresh', 'type=login', ofUser, `${ofUser}&type=lock`]) {
      await get(`/admin/audit?${query}`, bearer)
    }
    const path = `/admin/users/${target.userId}`
    await get(path, bearer)
    for (const action of ['end-sessions', 'require-password-reset', 'disable', 'enable']) {
      await call('POST', `${path}/${action}`, { body: {}, bearer })
    }
    await call('DELETE', `/admin/users/${doomed.userId}`, { body: {}, bearer })
  }

  for (const path of ['/', '/healthz', '/readyz', '/.well-known/jwks.json']) await get(path)
  await call('GET', '/.well-known/change-password', { refused: true })
  await register()
  await useFactors(await useSessions())
  await exportAccount()
  await changeAndRecover()
  await administer()
}
