import type { FastifyInstance } from 'fastify'
import { linkPage } from '../../http/link-page.ts'
import { type UnlockUses, unlockAccount } from './unlock-account.ts'

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
    act: (token, context) => unlockAccount(uses, token, context),
    done: {
      title: 'Your account is unlocked',
      text: 'You can close this page and sign in.',
      status: 'unlocked',
    },
    stale: 'Most locks end after ten minutes. If yours does not, reset your password.',
  })
}
