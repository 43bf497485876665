import formbody from '@fastify/formbody'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config.ts'
import { createInboxMailer, type InboxMailer } from '../../core/mail/mail.ts'
import { Problem } from '../../core/problems/problems.ts'
import { INBOX_CSP, inboxPage } from './page.ts'

export interface DevInboxDeps {
  inbox: Pick<InboxMailer, 'list' | 'clear'>
}

/**
 * Shows the mails of the development inbox with their links: `GET /dev/inbox` as a page,
 * `GET /dev/inbox.json` as `{ mails }`, newest first. `POST /dev/inbox/clear` deletes them.
 */
export default async function devInbox(app: FastifyInstance, { inbox }: DevInboxDeps): Promise<void> {
  app.get('/dev/inbox', { schema: { hide: true } }, async (_request, reply) => {
    const page = inboxPage(await inbox.list())
    return reply
      .type('text/html; charset=utf-8')
      .header('cache-control', 'no-store')
      .header('content-security-policy', INBOX_CSP)
      .header('referrer-policy', 'same-origin')
      .header('x-content-type-options', 'nosniff')
      .send(page)
  })

  await app.register(async (scope) => {
    // The form has no fields.
    await scope.register(formbody)
    scope.post(
      '/dev/inbox/clear',
      { config: { limit: 'public' }, schema: { hide: true } },
      async (request, reply) => {
        // A page of any website can send a form.
        const site = request.headers['sec-fetch-site'] ?? 'none'
        if (site !== 'same-origin' && site !== 'none') throw new Problem('origin_not_allowed')
        await inbox.clear()
        return reply.redirect('/dev/inbox', 303)
      },
    )
  })

  app.get('/dev/inbox.json', { schema: { hide: true } }, async (_request, reply) => {
    const mails = (await inbox.list()).map(({ id, at, to, subject, text, html }) => ({
      id,
      at,
      to,
      subject,
      text,
      html,
    }))
    return reply.header('cache-control', 'no-store').send({ mails })
  })
}

/** For the app's option `extraRoutes`: the inbox if mail is delivered to it; undefined if mail is really sent. */
export function inboxRoutes({ mail }: Pick<Config, 'mail'>) {
  if (mail.kind !== 'inbox') return undefined
  const inbox = createInboxMailer({ dir: mail.dir })
  return (app: FastifyInstance) => devInbox(app, { inbox })
}
