import type { FastifyInstance } from 'fastify'
import { linkPage } from '../../http/link-page.ts'
import { type UnlockUses, unlockAccount } from './unlock-account.ts'

/** The link of the mail about too many failed sign-ins. */
export async function unlockRoutes(app: FastifyInstance, uses: UnlockUses): Promise<void> {
  await linkPage(app, {
    path: '/auth/unlock',
    limit: 'unlock',
    tags: ['sign in'],
    summary: 'Unlock an account',
    ask: {
      title: 'Unlock your account',
      text: 'Press the button if it was you who could not sign in. If it was not, close this page: your account is safe.',
      button: 'Unlock',
    },
    act: (token, context) => unlockAccount(uses, token, context),
    done: {
      title: 'Your account is unlocked',
      text: 'You can close this page and sign in.',
      status: 'unlocked',
    },
    stale: 'Locks open by themselves after ten minutes, or with a new password.',
  })
}
