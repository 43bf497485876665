import type { FastifyInstance } from 'fastify'
import { linkPage } from '../../http/link-page.ts'
import { checkUnlockLink, type UnlockUses, unlockAccount } from './unlock-account.ts'

/** The link in the mail about too many failed sign-ins. */
export async function unlockRoutes(app: FastifyInstance, uses: UnlockUses): Promise<void> {
  await linkPage(app, {
    path: '/auth/unlock',
    limit: 'unlock',
    tags: ['sign in'],
    summary: 'Unlock an account',
    ask: {
      title: 'Unlock your account',
      text:
        'Press the button if you could not sign in. If it was not you, close this page: nobody has got into your ' +
        'account.',
      button: 'Unlock',
    },
    check: (token) => checkUnlockLink(uses, token),
    act: (token, context) => unlockAccount(uses, token, context),
    done: {
      title: 'Your account is unlocked',
      text: 'You can sign in again.',
      status: 'unlocked',
    },
    stale:
      'Most locks end after ten minutes. If yours does not, choose a new password: that unlocks your account too.',
    used: 'It has unlocked your account. If you still cannot sign in, wait ten minutes, or choose a new password.',
    renew: { label: 'Choose a new password', href: '/auth/forgot-password' },
  })
}
