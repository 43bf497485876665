import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { RequestContext } from '../core/events/events.ts'
import { shownAddress } from '../platform/email-address.ts'
import { type Interactions, InteractionTicket, type OpenInteraction, withTicket } from './interactions.ts'
import type { LimitName } from './limits.ts'
import { AnyQuery, FormQuery } from './link-page.ts'
import { withMinimumDuration } from './minimum-duration.ts'
import {
  alert,
  button,
  consumes,
  field,
  form,
  Page,
  type PageContent,
  type PageWriter,
  pageWriter,
  sendPage,
  sideLink,
} from './page.ts'
import { contextOf } from './request-context.ts'
import { canonicalEmail, Email, strict } from './schemas.ts'

export interface AddressPage {
  path: string
  /** The name of its texts. */
  texts: 'forgot_password' | 'new_verification'
  limit: LimitName
  tags: string[]
  /** The names of the two calls. */
  operations: { show: string; submit: string }
  summary: string
  /** The call that apps use instead. */
  instead: string
  interactions: Interactions
  /** What the button does. `email` is canonical. The response is the same, and takes as long, for every address. */
  send(email: string, context: RequestContext): Promise<void>
}

/**
 * A page with a form for an address to which a link is mailed. Needs no JavaScript; the scope that it is registered in
 * has to accept forms.
 */
export async function addressPage(app: FastifyInstance, page: AddressPage): Promise<void> {
  const { path, texts, limit, tags, operations, summary, instead, interactions, send } = page
  const pages = app.withTypeProvider<TypeBoxTypeProvider>()

  /** `fault` is HTML; `email` is any text. */
  const formPage = (
    { say, path: to }: PageWriter,
    fault: string,
    email: string,
    interaction: OpenInteraction | null,
  ): PageContent => ({
    title: say(`${texts}.title`),
    body: `<p>${say(`${texts}.text`)}</p>${alert(fault)}
${form({
  action: to(path),
  hidden: interaction ? { ticket: interaction.ticket } : {},
  fields: field({
    name: 'email',
    label: say('forgot_password.email'),
    type: 'email',
    value: email,
    autocomplete: 'username',
    isInvalid: fault !== '',
  }),
  buttons: button(say('forgot_password.button')),
})}`,
  })

  function again(_problem: unknown, request: FastifyRequest): PageContent {
    const { email } = (request.body ?? {}) as { email?: unknown }
    const writer = pageWriter(request)
    const text = typeof email === 'string' ? email : ''
    return formPage(writer, writer.say('forgot_password.wrong_email'), text, interactions.find(request))
  }

  pages.get(
    path,
    {
      config: { limit: 'public' },
      schema: {
        operationId: operations.show,
        tags,
        summary: `Show the page to ${summary}`,
        description:
          'A form for the address. A `ticket` of the page to sign in on is kept. Unknown parameters are ignored.',
        querystring: AnyQuery,
        response: { 200: Page },
      },
    },
    async (request, reply) => {
      const interaction = interactions.find(request)
      const content = formPage(pageWriter(request), '', interaction?.loginHint ?? '', interaction)
      return sendPage(reply, 200, content)
    },
  )

  pages.post(
    path,
    {
      config: { limit, problemPages: { validation_failed: again } },
      schema: {
        operationId: operations.submit,
        tags,
        summary: 'Submit the form of that page',
        description: `Apps call \`POST ${instead}\` instead.`,
        consumes,
        querystring: FormQuery,
        body: Type.Object({ email: Email, ticket: Type.Optional(InteractionTicket) }, strict),
        response: { 200: Page },
      },
    },
    async (request, reply) => {
      const email = canonicalEmail(request.body.email)
      await withMinimumDuration(() => send(email, contextOf(request)))
      const interaction = interactions.find(request)
      if (interaction) interactions.keep(request, reply, interaction, email)
      const { say, path: to } = pageWriter(request)
      const further = to(interaction ? withTicket(path, interaction.ticket) : path)
      return sendPage(reply, 200, {
        title: say('forgot_password.done_title'),
        body: `<p>${say(`${texts}.done_text`, { email: shownAddress(email) })}</p>
<p>${say('forgot_password.no_mail')}</p>${sideLink(say('forgot_password.again'), further)}`,
      })
    },
  )
}
