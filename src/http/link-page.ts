import formbody from '@fastify/formbody'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type TProperties, Type } from 'typebox'
import type { RequestContext } from '../core/events/events.ts'
import type { LimitName } from './limits.ts'
import {
  confirmation,
  consumes,
  linkButton,
  Page,
  type PageContent,
  type PageWriter,
  pageWriter,
  sendPage,
  signInButton,
} from './page.ts'
import type { PlainText } from './page-texts.ts'
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
  /** The name of its texts. */
  texts: LinkName
  limit: LimitName
  tags: string[]
  /** The name of the call that presses the button. */
  operationId: string
  summary: string
  /**
   * Looks at the token when the link is opened: `done` shows the page after a success at once. Without it the token is
   * checked only when the button is pressed. @throws `token_invalid`, `token_used`.
   */
  check?(token: string): Promise<'usable' | 'done'>
  /** Further fields of the body. */
  fields?: TProperties
  /** What the button does. @throws `token_invalid`, `token_used`. */
  act(token: string, context: RequestContext, exchange: Exchange): Promise<void>
  /** The `status` in a JSON response after a success. */
  done: string
  /** What the link has done, if it was used and does nothing any more. */
  used?: PlainText
  /** Where to ask for another link, or for what helps instead of it. */
  renew?: Renewal
}

type LinkName = 'confirm_email_change' | 'unlock' | 'keep_factors'
interface Renewal {
  label: PlainText
  path: string
  /** Whether signing in may help as well. */
  orSignIn?: boolean
}

/** The query of a mailed link. Mailers and social networks add parameters of their own (`utm_source`, `fbclid`). */
export const LinkQuery = Type.Object({ token: OneTimeToken }, { additionalProperties: true })
/** The query of a page that needs nothing from it. */
export const AnyQuery = Type.Object({}, { additionalProperties: true })
/** The query of a form: the language of its page. */
export const FormQuery = Type.Object({ locale: Type.Optional(Type.String({ maxLength: 100 })) }, strict)

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
  const { path, texts, limit, tags, operationId, summary, fields = {}, check, act, done, used, renew } = page
  const broken = brokenLink(`${texts}.broken`, renew)
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
          operationId: `show${operationId[0]?.toUpperCase()}${operationId.slice(1)}Page`,
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
        if ((await check?.(token)) === 'done') return sendDone(request, reply)
        const writer = pageWriter(request)
        const content = confirmation({
          title: writer.say(`${texts}.title`),
          text: writer.say(`${texts}.text`),
          button: writer.say(`${texts}.button`),
          action: writer.path(path),
          token,
        })
        return sendPage(reply, 200, content)
      },
    )
    pages.post(
      path,
      {
        config: { limit, problemPages },
        schema: {
          operationId,
          tags,
          summary,
          description: 'A form gets a page in response; JSON gets JSON.',
          consumes,
          querystring: FormQuery,
          body: Type.Object({ ...TokenBody.properties, ...fields }, strict),
          response: { 200: Done },
          problems: ['token_invalid', 'token_used'],
        },
      },
      async (request, reply) => {
        const members = {}
        await act(request.body.token, contextOf(request), { request, reply, members })
        return wantsPage(request) ? sendDone(request, reply) : reply.send({ status: done, ...members })
      },
    )
  })

  const sendDone = (request: FastifyRequest, reply: FastifyReply) => {
    const writer = pageWriter(request)
    const title = writer.say(`${texts}.done_title`)
    return sendPage(reply, 200, {
      title,
      body: `<p>${writer.say(`${texts}.done_text`)}</p>${signInButton(writer)}`,
    })
  }
}

/** The page of a link that does not work: one that was cut off is not valid input, but people need the same advice. */
export const brokenLink =
  (advice: PlainText, renew?: Renewal) =>
  (_problem: unknown, request: FastifyRequest): PageContent => {
    const writer = pageWriter(request)
    const { say, path } = writer
    const further = renew ? linkButton(say(renew.label), path(renew.path)) : ''
    const signIn = !renew || renew.orSignIn ? signInButton(writer) : ''
    return {
      title: say('broken_link.title'),
      body: `<p>${say('broken_link.text')} ${say(advice)}</p>${further}${signIn}`,
    }
  }

/** The page of a link that was used and does nothing any more. `text` says what it has done. */
export const usedLink =
  (text: PlainText, more: (writer: PageWriter) => string = () => '') =>
  (_problem: unknown, request: FastifyRequest): PageContent => {
    const writer = pageWriter(request)
    return {
      title: writer.say('used_link.title'),
      body: `<p>${writer.say(text)}</p>${signInButton(writer)}${more(writer)}`,
    }
  }
