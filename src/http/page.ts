import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { Type } from 'typebox'
import { withLocale } from '../core/mail/mail.ts'
import type { Brand } from '../platform/brand-settings.ts'
import { escapeHtml } from '../platform/html.ts'
import { createPageLayout, type PageContent, type PageLayout } from './page-layout.ts'
import type { PageTexts, PageWords } from './page-texts.ts'

export type { PageContent } from './page-layout.ts'

interface Pages {
  brand: Brand
  texts: PageTexts
  layout: PageLayout
}

declare module 'fastify' {
  interface FastifyInstance {
    pages: Pages
  }
}

/** An HTML page, for the responses of a route. */
export const Page = { description: 'An HTML page', content: { 'text/html': { schema: Type.String() } } }

/** The media types that the `POST` of a page accepts: its form, or JSON. */
export const consumes = ['application/json', 'application/x-www-form-urlencoded']

/** Lets all routes send pages. */
export const builtInPages = fp(async (app: FastifyInstance, options: Pick<Pages, 'brand' | 'texts'>) => {
  app.decorate('pages', { ...options, layout: createPageLayout(options.brand) })
})

/** Writes a page for one reader. Everything that it returns is HTML. */
export interface PageWriter extends PageWords {
  brand: Brand
  /** The path or URL of another page, which will be in the same language if the link to this one named it. */
  path(to: string): string
  /** The same as text, for a redirect. */
  target(to: string): string
}

/** In the language that the link names, which is the account's, or else one that the browser accepts. */
export function pageWriter({ server, query, headers }: FastifyRequest): PageWriter {
  const { brand, texts } = server.pages
  const { locale } = (query ?? {}) as { locale?: unknown }
  const asked = typeof locale === 'string' ? locale : undefined
  const acceptLanguage = headers['accept-language']?.slice(0, 256)
  const words = texts.get(texts.languages.choose({ locale: asked, acceptLanguage }))
  const target = (to: string) => (asked === undefined ? to : withLocale(to, words.lang))
  return { ...words, brand, target, path: (to) => escapeHtml(target(to)) }
}

/** Sends a small page that works without JavaScript. */
export function sendPage(reply: FastifyReply, status: number, content: PageContent): FastifyReply {
  const { layout } = reply.server.pages
  const writer = pageWriter(reply.request)
  return (
    reply
      .status(status)
      .header('cache-control', 'no-store')
      .header('content-security-policy', layout.policy(content))
      .header('content-language', writer.lang)
      // Without it, browsers post the forms with `Origin: null`, like a page of a stranger: no cookie would count.
      .header('referrer-policy', 'same-origin')
      .type('text/html; charset=utf-8')
      .serializer((html: string) => html)
      .send(layout.render(content, writer))
  )
}

export interface Confirmation {
  title: string
  text: string
  /** Where the form is sent. */
  action: string
  button: string
  token: string
  fields?: string
}

/** A page with one button that posts a mailed token. Opening the page does not use the token up. */
export const confirmation = ({ title, text, ...form }: Confirmation): PageContent => ({
  title,
  body: `<p>${text}</p>${tokenForm(form)}`,
})

/** A form that posts a mailed token. All but the token is HTML. */
export const tokenForm = ({ action, token, fields, button: label }: Omit<Confirmation, 'title' | 'text'>) =>
  form({ action, hidden: { token }, fields, buttons: button(label) })

export interface Form {
  /** Where it is sent, as HTML. */
  action: string
  /** What it sends besides its fields. Not HTML. */
  hidden?: Readonly<Record<string, string>>
  fields?: string | undefined
  buttons: string
}

/** A form of a page. */
export const form = ({ action, hidden = {}, fields = '', buttons }: Form): string => {
  const inputs = Object.entries(hidden).map(
    ([name, value]) => `<input type="hidden" name="${name}" value="${escapeHtml(value)}">`,
  )
  return `<form method="post" action="${action}">${fields}
${inputs.join('')}${buttons}</form>`
}

export interface Field {
  /** Its `id` too. */
  name: string
  label: string
  type?: 'text' | 'email' | 'password'
  /** Not HTML. */
  value?: string
  autocomplete?: string
  /** Whether the fault of the last attempt, the element `fault`, is about it. */
  isInvalid?: boolean
  /** Further attributes. */
  more?: string
}

/** A field of a form, with its label. What it is filled in with is required, unless `more` says otherwise. */
export const field = ({ name, label, type = 'text', value = '', autocomplete, isInvalid, more }: Field) =>
  `<label for="${name}">${label}</label>
<input id="${name}" name="${name}" type="${type}"${value && ` value="${escapeHtml(value)}"`}${
    autocomplete ? ` autocomplete="${autocomplete}"` : ''
  }${isInvalid ? ' aria-invalid="true" aria-describedby="fault"' : ''} ${more ?? 'required'}>`

/** The button that a form is sent with. With `value` the form says which of its buttons it was. */
export const button = (label: string, { name = '', value = '', isSecondary = false } = {}): string =>
  `<button type="submit"${name && ` name="${name}" value="${escapeHtml(value)}"`}${
    isSecondary ? ' class="secondary"' : ''
  }>${label}</button>`

/** What else there is to do, below everything else on the card. */
export const furtherLink = (text: string, label: string, href: string): string =>
  `<p class="further">${text} <a href="${href}">${label}</a></p>`

/** A link that looks like a button. Both are HTML, here and below. */
export const linkButton = (label: string, href: string): string =>
  `<p><a class="button" href="${href}">${label}</a></p>`

/** A link below the button of a page. */
export const sideLink = (label: string, href: string): string =>
  `<p class="soft"><a href="${href}">${label}</a></p>`

/** What went wrong with the form below it; nothing without a fault. */
export const alert = (fault: string, id = 'fault'): string =>
  fault && `<p class="alert" role="alert" id="${id}">${fault}</p>`

/**
 * Names the account of a password form. Without a name the address is not sent: it tells password managers whose
 * password this is. `id` tells the forms of one page apart.
 */
export const accountField = ({ say }: PageWriter, email: string, id = 'account'): string =>
  `<label for="${id}">${say('page.account')}</label>
<input id="${id}" type="text" value="${escapeHtml(email)}" autocomplete="username" readonly>`

/** The way on from a page: to where people sign in or, if nobody has said where that is, to the start page. */
export const signInButton = ({ brand, say, path }: PageWriter): string =>
  brand.signInUrl
    ? linkButton(say('page.sign_in'), escapeHtml(brand.signInUrl))
    : linkButton(say('page.to_start'), path('/'))
