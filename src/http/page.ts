import type { FastifyInstance, FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { Type } from 'typebox'
import { escapeHtml } from '../platform/html.ts'
import { PAGE_CSP, renderPage } from './page-layout.ts'

/** The service as people know it. */
export interface Brand {
  name: string
  /** Where people sign in, if the operator has named it. */
  signInUrl: string | undefined
}

declare module 'fastify' {
  interface FastifyInstance {
    brand: Brand
  }
}

/** The content of a page. Both are trusted HTML: escape their variable parts. */
export interface PageContent {
  title: string
  body: string
}

/** An HTML page, for the responses of a route. */
export const Page = { description: 'An HTML page', content: { 'text/html': { schema: Type.String() } } }

/** The media types that the `POST` of a page accepts: its form, or JSON. */
export const consumes = ['application/json', 'application/x-www-form-urlencoded']

/** Lets all routes send pages. */
export const brandedPages = fp(async (app: FastifyInstance, brand: Brand) => {
  app.decorate('brand', brand)
})

/** Sends a small page that works without JavaScript. `title` and `body` are trusted HTML: escape their variable parts. */
export function sendPage(reply: FastifyReply, status: number, title: string, body: string): FastifyReply {
  return reply
    .status(status)
    .header('cache-control', 'no-store')
    .header('content-security-policy', PAGE_CSP)
    .type('text/html; charset=utf-8')
    .serializer((html: string) => html)
    .send(renderPage({ title, body }, reply.server.brand.name))
}

export interface Confirmation {
  title: string
  text: string
  action: string
  button: string
  token: string
  /** The fields of the form, as trusted HTML. */
  fields?: string
}

/** A page with one button that posts a mailed token. Opening the page does not use the token up. */
export const confirmation = (page: Confirmation): PageContent => ({
  title: page.title,
  body: `<p>${page.text}</p><form method="post" action="${page.action}">${page.fields ?? ''}
<input type="hidden" name="token" value="${escapeHtml(page.token)}"><button type="submit">${page.button}</button></form>`,
})

export function confirmPage(reply: FastifyReply, page: Confirmation): FastifyReply {
  const { title, body } = confirmation(page)
  return sendPage(reply, 200, title, body)
}

/** A link that looks like a button. */
export const linkButton = (label: string, href: string): string =>
  `<p><a class="button" href="${escapeHtml(href)}">${label}</a></p>`

/** A link below the button of a page. */
export const sideLink = (label: string, href: string): string =>
  `<p class="soft"><a href="${escapeHtml(href)}">${label}</a></p>`

/** The way on from a page: to where people sign in or, if nobody has said where that is, to the start page. */
export const signInButton = ({ server: { brand } }: FastifyReply): string =>
  brand.signInUrl ? linkButton('Sign in', brand.signInUrl) : linkButton('To the start page', '/')
