import { environment, loadConfig } from '../../config.ts'
import { createOneTimeTokens } from '../../core/one-time/one-time-tokens.ts'
import { createOutbox } from '../../core/outbox/outbox.ts'
import { grantAdmin, revokeAdmin } from '../../features/admin/change-role.ts'
import { deleteUser } from '../../features/admin/delete-user.ts'
import { disableUser, enableUser } from '../../features/admin/disable-user.ts'
import { endSessions } from '../../features/admin/end-sessions.ts'
import { requirePasswordReset } from '../../features/admin/require-password-reset.ts'
import { showUser } from '../../features/admin/show-user.ts'
import { createLinks } from '../../http/links.ts'
import { createSecrets } from '../../platform/secrets.ts'
import type { AdminContext } from './admin-context.ts'

type Account = { id: string; email: string }
type Change = (desk: AdminContext, account: Account, options: { yes: boolean }) => Promise<void>

export const changes: Record<string, Change> = {
  async disable(desk, account) {
    const done = await disableUser(desk, targetOf(desk, account), desk.origin)
    console.log(told('disabled', done))
  },

  async enable(desk, account) {
    const { changed } = await enableUser(desk, targetOf(desk, account), desk.origin)
    console.log(changed ? 'enabled' : 'enabled already')
  },

  async 'end-sessions'(desk, account) {
    console.log(revocation(await endSessions(desk, targetOf(desk, account), desk.origin)))
  },

  async 'require-reset'(desk, account) {
    const done = await requirePasswordReset(withMail(desk), targetOf(desk, account), desk.origin)
    console.log(told('a new password is required', done))
  },

  async delete(desk, account, { yes }) {
    if (!yes) throw new Error(await describeDeletion(desk, account))
    const done = await deleteUser(desk, targetOf(desk, account), desk.origin)
    console.log(`deleted; ${revocation(done)}; no mail tells of it`)
  },

  async 'grant-admin'(desk, account) {
    const { changed } = await grantAdmin(desk, targetOf(desk, account), desk.origin)
    const needed = 'it takes a sign-in with a second factor to act as one'
    console.log(`${account.email} is an administrator${changed ? ' now' : ' already'}; ${needed}`)
  },

  async 'revoke-admin'(desk, account) {
    const done = await revokeAdmin(desk, targetOf(desk, account), desk.origin)
    if (done.changed) console.log(`${account.email} is no administrator any more; ${revocation(done)}`)
    else console.log(`${account.email} was no administrator`)
  },
}

const targetOf = ({ actor }: AdminContext, { id: userId }: Account) => ({ userId, actor })

type Revocations = { revocations: readonly { isNew: boolean }[] }

const ended = ({ revocations }: Revocations) => revocations.filter(({ isNew }) => isNew).length

function revocation(done: Revocations): string {
  const count = ended(done)
  return `${count} ${count === 1 ? 'session ends' : 'sessions end'} within a second`
}

/** Of what was so before, only what it still ended is worth telling. */
function told(state: string, done: Revocations & { changed: boolean }): string {
  if (done.changed) return `${state}; ${revocation(done)}`
  return ended(done) > 0 ? `${state} already; ${revocation(done)}` : `${state} already`
}

async function describeDeletion(desk: AdminContext, account: Account): Promise<string> {
  const user = await showUser(desk, targetOf(desk, account), desk.origin)
  const since = user.created_at.slice(0, 10)
  const sessions = `${user.live_sessions} live session${user.live_sessions === 1 ? '' : 's'}`
  return `this would delete ${account.email}, of ${since}, with ${sessions}, for good; --yes does it`
}

/** The desk with an outbox that running nodes empty. */
function withMail(desk: AdminContext) {
  const { db, clock } = desk
  const { appSecrets, appName, publicUrl, appUrl } = loadConfig({ NODE_ENV: 'production', ...environment() })
  const mailer = { name: 'none', send: () => Promise.reject(new Error('running nodes send')) }
  const brand = { name: appName, url: publicUrl }
  const outbox = createOutbox({ db, secrets: createSecrets(appSecrets), clock, mailer, brand, log: console })
  return { ...desk, outbox, oneTimeTokens: createOneTimeTokens(clock), links: createLinks(publicUrl, appUrl) }
}
