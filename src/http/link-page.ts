import formbody from '@fastify/formbody'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { RequestContext } from '../core/events/events.ts'
import { isProblem } from '../core/problems/problems.ts'
import type { LimitName } from './limits.ts'
import { confirmPage, consumes, isForm, Page, sendPage } from './page.ts'
import { contextOf } from './request-context.ts'
import { OneTimeToken, strict } from './schemas.ts'

export interface LinkPage {
  path: string
  limit: LimitName
  tags: string[]
  summary: string
  /** The page that the link opens; opening it changes nothing. */
  ask: { title: string; text: string; button: string }
  /** What the button does. @throws `token_invalid`. */
  act(token: string, context: RequestContext): Promise<void>
  /** The page after a success, and the `status` in a JSON response. */
  done: { title: string; text: string; status: string }
  /** What the user can do if the link no longer works. */
  stale: string
}

const Done = {
  description: 'Done',
  content: {
    'application/json': { schema: Type.Object({ status: Type.String() }) },
    ...Page.content,
  },
}
const TokenBody = Type.Object({ token: OneTimeToken }, strict)

/** The routes of a mailed link: GET shows a page with a button, POST performs the action. Needs no JavaScript. */
export async function linkPage(app: FastifyInstance, page: LinkPage): Promise<void> {
  const { path, limit, tags, summary, ask, act, done, stale } = page
  await app.register(async (scope) => {
    // Forms are accepted only on these routes.
    await scope.register(formbody)
    const pages = scope.withTypeProvider<TypeBoxTypeProvider>()
    pages.get(
      path,
      {
        config: { limit },
        schema: {
          tags,
          summary: `Show the page of a mailed link: ${summary}`,
          description: 'The page shows one button. Opening it changes nothing and does not check the token.',
          querystring: TokenBody,
          response: { 200: Page },
        },
      },
      async (request, reply) => confirmPage(reply, { ...ask, action: path, token: request.query.token }),
    )
    pages.post(
      path,
      {
        config: { limit },
        schema: {
          tags,
          summary,
          description: 'A form gets a page in response; JSON gets JSON.',
          consumes,
          body: TokenBody,
          response: { 200: Done },
          problems: ['token_invalid'],
        },
      },
      async (request, reply) => {
        const form = isForm(request)
        try {
          await act(request.body.token, contextOf(request))
        } catch (error) {
          if (!form || !isProblem(error, 'token_invalid')) throw error
          return sendPage(
            reply,
            400,
            'This link no longer works',
            `<p>It is wrong, used or expired. ${stale}</p>`,
          )
        }
        if (form) return sendPage(reply, 200, done.title, `<p>${done.text}</p>`)
        return reply.send({ status: done.status })
      },
    )
  })
}
