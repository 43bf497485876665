import formbody from '@fastify/formbody'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type TProperties, Type } from 'typebox'
import type { RequestContext } from '../core/events/events.ts'
import type { LimitName } from './limits.ts'
import { confirmPage, consumes, linkButton, Page, type PageContent, sendPage, signInButton } from './page.ts'
import type { ProblemPages } from './problem-page.ts'
import { contextOf } from './request-context.ts'
import { OneTimeToken, strict } from './schemas.ts'
import { wantsPage } from './wants-page.ts'

/** For what an action does beyond its use case, such as setting a cookie. */
export interface Exchange {
  request: FastifyRequest<{ Body: object }>
  reply: FastifyReply
  /** Filled with what a JSON response has besides its status. */
  members: { device_token?: string }
}

export interface LinkPage {
  path: string
  limit: LimitName
  tags: string[]
  summary: string
  /** The page that the link opens; opening it changes nothing. */
  ask: { title: string; text: string; button: string }
  /**
   * Looks at the token when the link is opened: `done` shows the page after a success at once. Without it the token is
   * checked only when the button is pressed. @throws `token_invalid`, `token_used`.
   */
  check?(token: string): Promise<'usable' | 'done'>
  /** Further fields of the body. */
  fields?: TProperties
  /** What the button does. @throws `token_invalid`, `token_used`. */
  act(token: string, context: RequestContext, exchange: Exchange): Promise<void>
  /** The page after a success, and the `status` in a JSON response. */
  done: { title: string; text: string; status: string }
  /** What the user can do if the link does not work. */
  stale: string
  /** What the link has done, if it was used and does nothing any more. */
  used?: string
  /** Where to ask for another link, or for what helps instead of it. */
  renew?: { label: string; href: string }
}

/** The query of a mailed link. Mailers and social networks add parameters of their own (`utm_source`, `fbclid`). */
export const LinkQuery = Type.Object({ token: OneTimeToken }, { additionalProperties: true })
/** The query of a page that needs nothing from it. */
export const AnyQuery = Type.Object({}, { additionalProperties: true })

const Done = {
  description: 'Done',
  content: {
    'application/json': {
      schema: Type.Object({ status: Type.String(), device_token: Type.Optional(Type.String()) }),
    },
    ...Page.content,
  },
}
const TokenBody = Type.Object({ token: OneTimeToken }, strict)

/** The routes of a mailed link: GET shows a page with a button, POST performs the action. Needs no JavaScript. */
export async function linkPage(app: FastifyInstance, page: LinkPage): Promise<void> {
  const { path, limit, tags, summary, ask, fields = {}, check, act, done, stale, used, renew } = page
  const broken = brokenLink({ stale, ...(renew ? { renew } : {}) })
  const problemPages: ProblemPages = {
    validation_failed: broken,
    token_invalid: broken,
    ...(used ? { token_used: usedLink(used) } : {}),
  }
  await app.register(async (scope) => {
    // Forms are accepted only on these routes.
    await scope.register(formbody)
    const pages = scope.withTypeProvider<TypeBoxTypeProvider>()
    pages.get(
      path,
      {
        config: { limit: 'public', problemPages },
        schema: {
          tags,
          summary: `Show the page of a mailed link: ${summary}`,
          description:
            'The page shows one button. Opening it changes nothing. Unknown parameters are ignored.',
          querystring: LinkQuery,
          response: { 200: Page },
          problems: check ? ['token_invalid', 'token_used'] : [],
        },
      },
      async (request, reply) => {
        const { token } = request.query
        if ((await check?.(token)) === 'done') return sendDone(reply)
        return confirmPage(reply, { ...ask, action: path, token })
      },
    )
    pages.post(
      path,
      {
        config: { limit, problemPages },
        schema: {
          tags,
          summary,
          description: 'A form gets a page in response; JSON gets JSON.',
          consumes,
          body: Type.Object({ ...TokenBody.properties, ...fields }, strict),
          response: { 200: Done },
          problems: ['token_invalid', 'token_used'],
        },
      },
      async (request, reply) => {
        const members = {}
        await act(request.body.token, contextOf(request), { request, reply, members })
        return wantsPage(request) ? sendDone(reply) : reply.send({ status: done.status, ...members })
      },
    )
  })

  const sendDone = (reply: FastifyReply) =>
    sendPage(reply, 200, done.title, `<p>${done.text}</p>${signInButton(reply)}`)
}

/** The page of a link that does not work: one that was cut off is not valid input, but people need the same advice. */
export const brokenLink =
  ({ stale, renew }: Pick<LinkPage, 'stale' | 'renew'>) =>
  (_problem: unknown, _request: unknown, reply: FastifyReply): PageContent => ({
    title: 'This link does not work',
    body: `<p>It has been cut off, has expired, or was replaced since. ${stale}</p>${
      renew ? linkButton(renew.label, renew.href) : signInButton(reply)
    }`,
  })

/** The page of a link that was used and does nothing any more. `text` says what it has done; `more` is trusted HTML. */
export const usedLink =
  (text: string, more = '') =>
  (_problem: unknown, _request: unknown, reply: FastifyReply): PageContent => ({
    title: 'This link has been used',
    body: `<p>${text}</p>${signInButton(reply)}${more}`,
  })
