import { type Background, repeat } from '../../platform/background.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { PostForm } from '../../platform/post-form.ts'
import type { Clients } from '../clients/clients.ts'
import type { MessageKind, Outbox } from '../outbox/outbox.ts'
import { hasLogoutNotices, type LogoutNotice, takeLogoutNotices } from '../sessions/sessions.ts'
import type { IdTokens } from '../tokens/tokens.ts'

export interface BackchannelLogoutDeps extends UsesPlatform<'transact' | 'poll' | 'log' | 'metrics'> {
  outbox: Pick<Outbox, 'define'>
  clients: Pick<Clients, 'find'>
  idTokens: Pick<IdTokens, 'signLogout'>
  postForm: PostForm
}

type Payload = Pick<LogoutNotice, 'sessionId' | 'userId'>

const BATCH = 100

/**
 * Tells clients that a session of theirs has ended (OpenID Connect Back-Channel Logout 1.0), as a kind of message. The
 * token is signed at each attempt, because it is valid for two minutes only; its `jti` stays the same.
 */
export function openBackchannelLogout(deps: BackchannelLogoutDeps): Background {
  const { transact, poll, outbox, clients, idTokens, postForm } = deps
  const queue = outbox.define({
    name: 'logout',
    maxPerHour: Number.POSITIVE_INFINITY,
    async deliver({ id, recipient, payload }) {
      const client = await clients.find(recipient)
      if (!client?.backchannelLogoutUri)
        return { withhold: 'the client is gone, or does not want to know any more' }
      const token = idTokens.signLogout(id, client, payload as Payload)
      await postForm(client.backchannelLogoutUri, { logout_token: token })
      return undefined
    },
    report: createReport(deps),
  })

  const enqueue = (): Promise<number> =>
    transact(async (tx) => {
      const notices = await takeLogoutNotices(tx, BATCH)
      for (const { clientId, ...payload } of notices)
        await queue(tx, { topic: 'logout', recipient: clientId, payload: payload satisfies Payload })
      return notices.length
    })

  const task = repeat({
    task: 'backchannel_logout',
    async run(signal) {
      while (!signal.aborted && (await enqueue()) === BATCH);
    },
    failure: { message: 'logout tokens cannot be queued' },
    monitor: deps,
  })
  poll.ask<boolean>({
    task: 'backchannel_logout',
    sql: () => hasLogoutNotices,
    answer(hasNotices) {
      if (hasNotices) task.wake()
    },
  })
  return task
}

function createReport({ log, metrics }: UsesPlatform<'log' | 'metrics'>): MessageKind['report'] {
  return ({ id: outboxId, attempts }, { result, reason }) => {
    metrics.countLogoutToken(result)
    const fields = { outboxId, attempts, reason }
    if (result === 'delayed')
      log.warn(
        { code: 'logout_delayed', ...fields },
        'a client could not be told of a sign-out and will be told again',
      )
    else if (result === 'given_up')
      log.error({ code: 'logout_given_up', ...fields }, 'a client was not told of a sign-out')
  }
}
