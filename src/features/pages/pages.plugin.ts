import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Uses } from '../../core/uses.ts'
import { AnyQuery } from '../../http/link-page.ts'
import { Page, pageWriter, sendPage } from '../../http/page.ts'
import { startPage } from './start-page.ts'

export type PagesUses = Uses<'links'> & { production: boolean }

/** The pages that belong to no other feature: the start page, and the way to change a password. */
export const pages: FastifyPluginAsyncTypebox<PagesUses> = async (app, { links, production }) => {
  const tags = ['pages']

  app.get(
    '/',
    {
      config: { limit: 'public' },
      schema: {
        operationId: 'showStartPage',
        tags,
        summary: 'Show the start page',
        description: 'For people who open the address of the server.',
        querystring: AnyQuery,
        response: { 200: Page },
      },
    },
    async (request, reply) => {
      const inbox = app.hasRoute({ method: 'GET', url: '/dev/inbox' }) ? '/dev/inbox' : undefined
      const writer = pageWriter(request)
      const forgotPassword = links.forgotPassword()
      return sendPage(reply, 200, startPage(writer, { forgotPassword, inbox }, production))
    },
  )

  app.get(
    '/.well-known/change-password',
    {
      config: { limit: 'public' },
      // For password managers (W3C, A Well-Known URL for Changing Passwords), so it is not part of the API.
      schema: { hide: true, querystring: AnyQuery },
    },
    async (_request, reply) => reply.redirect(links.changePassword(), 302),
  )
}
