import { loadOwnConfig } from '../../config.ts'
import { createFactorResets } from '../../core/factor-resets/factor-resets.ts'
import { createLinks, openMail } from '../../core/mail/mail.ts'
import { openOutbox } from '../../core/outbox/outbox.ts'
import { grantAdmin, revokeAdmin } from '../../features/admin/change-role.ts'
import { deleteUser } from '../../features/admin/delete-user.ts'
import { disableUser, enableUser } from '../../features/admin/disable-user.ts'
import { endSessions } from '../../features/admin/end-sessions.ts'
import { requirePasswordReset } from '../../features/admin/require-password-reset.ts'
import { resetFactors, withdrawFactorReset } from '../../features/admin/reset-factors.ts'
import { showUser } from '../../features/admin/show-user.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { createSecrets } from '../../platform/secrets.ts'
import { readTexts } from '../../texts.ts'
import type { AdminContext } from './admin-context.ts'

type Account = { id: string; email: string }
type Change = (
  context: AdminContext,
  account: Account,
  options: { yes: boolean; now: boolean },
) => Promise<void>

export const changes: Record<string, Change> = {
  async disable(context, account) {
    const done = await disableUser(context, targetOf(context, account), context.requestContext)
    console.log(describeChange('disabled', done))
  },

  async enable(context, account) {
    const { changed } = await enableUser(context, targetOf(context, account), context.requestContext)
    console.log(changed ? 'enabled' : 'already enabled')
  },

  async 'end-sessions'(context, account) {
    console.log(describeEnded(await endSessions(context, targetOf(context, account), context.requestContext)))
  },

  async 'require-reset'(context, account) {
    const done = await requirePasswordReset(
      await withMail(context),
      targetOf(context, account),
      context.requestContext,
    )
    console.log(describeChange('a new password is required', done))
  },

  async 'reset-factors'(context, account, { now }) {
    const target = targetOf(context, account)
    const { changed, reset } = await resetFactors(await withMail(context), target, context.requestContext, {
      now,
    })
    const when = now ? 'within a second' : `at ${reset.effectiveAt.toISOString()}, unless the owner stops it`
    console.log(`the second factors are removed ${when}${changed ? '' : '; this was asked for already'}`)
  },

  async 'keep-factors'(context, account) {
    const target = targetOf(context, account)
    const { changed } = await withdrawFactorReset(await withMail(context), target, context.requestContext)
    console.log(changed ? 'the second factors stay' : 'nobody has asked to remove the second factors')
  },

  async delete(context, account, { yes }) {
    if (!yes) throw new Error(await describeDeletion(context, account))
    const done = await deleteUser(context, targetOf(context, account), context.requestContext)
    console.log(`deleted; ${describeEnded(done)}; the owner gets no mail about it`)
  },

  async 'grant-admin'(context, account) {
    const { changed } = await grantAdmin(context, targetOf(context, account), context.requestContext)
    const needed = 'it takes a sign-in with a second factor to act as one'
    console.log(`${account.email} is an administrator${changed ? ' now' : ' already'}; ${needed}`)
  },

  async 'revoke-admin'(context, account) {
    const done = await revokeAdmin(context, targetOf(context, account), context.requestContext)
    if (done.changed) console.log(`${account.email} is no longer an administrator; ${describeEnded(done)}`)
    else console.log(`${account.email} was not an administrator`)
  },
}

const targetOf = ({ actor }: AdminContext, { id: userId }: Account) => ({ userId, actor })

type Ended = { revocations: readonly { isNew: boolean }[] }

const countEnded = ({ revocations }: Ended) => revocations.filter(({ isNew }) => isNew).length

function describeEnded(done: Ended): string {
  const count = countEnded(done)
  return `${count} ${count === 1 ? 'session ends' : 'sessions end'} within a second`
}

/** If nothing changed, the ended sessions are mentioned only if there were any. */
function describeChange(state: string, done: Ended & { changed: boolean }): string {
  if (done.changed) return `${state}; ${describeEnded(done)}`
  return countEnded(done) > 0 ? `${state} already; ${describeEnded(done)}` : `${state} already`
}

async function describeDeletion(context: AdminContext, account: Account): Promise<string> {
  const user = await showUser(context, targetOf(context, account), context.requestContext)
  const since = user.created_at.slice(0, 10)
  const sessions = `${user.live_sessions} live session${user.live_sessions === 1 ? '' : 's'}`
  return `this would permanently delete ${account.email}, created ${since}, with ${sessions}; confirm with --yes`
}

/** The context with an outbox: this process queues mail, and running nodes send it. */
async function withMail(context: AdminContext) {
  const config = await loadOwnConfig()
  const { appSecrets, publicUrl, appUrl, brand } = config
  const platform = { ...context, secrets: createSecrets(appSecrets), log: console, metrics: createMetrics() }
  const mailer = { name: 'none', send: () => Promise.reject(new Error('only running nodes send mail')) }
  const outbox = openOutbox(platform)
  const { letters } = await readTexts(config.texts)
  const mail = openMail({ ...platform, outbox, mailer, brand, letters })
  const links = createLinks(publicUrl, appUrl)
  const factorResets = createFactorResets({ ...context, mail, links }, config.factorResetDelay)
  return { ...context, mail, links, factorResets }
}
