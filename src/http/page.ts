import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { escapeHtml } from '../platform/html.ts'

/** An HTML page, for the responses of a route. */
export const Page = { description: 'An HTML page', content: { 'text/html': { schema: Type.String() } } }

/** The media types that the `POST` of a page accepts: its form, or JSON. */
export const consumes = ['application/json', 'application/x-www-form-urlencoded']

/** Sends a small page that works without JavaScript. `body` is trusted HTML: escape its variable parts. */
export function sendPage(reply: FastifyReply, status: number, title: string, body: string): FastifyReply {
  return reply
    .status(status)
    .header('cache-control', 'no-store')
    .header(
      'content-security-policy',
      "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    )
    .type('text/html; charset=utf-8')
    .serializer((html: string) => html)
    .send(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #f5f6f8; --card: #fff; --accent: #2456d6; --line: #d9dde3 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --paper: #121417; --card: #1c1f24; --accent: #7ba2ff; --line: #343a43 } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { box-sizing: border-box; width: min(26rem, 92vw); padding: 2rem; background: var(--card); border: 1px solid var(--line); border-radius: 12px }
h1 { margin: 0 0 .75rem; font-size: 1.3rem }
label { display: block; margin: 1rem 0 .25rem }
input { box-sizing: border-box; width: 100%; padding: .6rem; font: inherit; border: 1px solid var(--line); border-radius: 8px; background: var(--paper); color: inherit }
button { margin-top: 1.25rem; width: 100%; padding: .7rem; font: inherit; font-weight: 600; border: 0; border-radius: 8px; background: var(--accent); color: var(--card); cursor: pointer }
</style>
</head>
<body><main><h1>${title}</h1>${body}</main></body>
</html>`)
}

/** Sends a page with one button that posts a mailed token. Opening the page does not use the token up. */
export function confirmPage(
  reply: FastifyReply,
  page: { title: string; text: string; action: string; button: string; token: string; fields?: string },
): FastifyReply {
  const form = `<p>${page.text}</p><form method="post" action="${page.action}">${page.fields ?? ''}
<input type="hidden" name="token" value="${escapeHtml(page.token)}"><button type="submit">${page.button}</button></form>`
  return sendPage(reply, 200, page.title, form)
}

/** Whether a form sent the request, and so expects a page (media types ignore case, RFC 9110 §8.3.1). */
export const isForm = (request: FastifyRequest): boolean =>
  /^application\/x-www-form-urlencoded\b/i.test(request.headers['content-type'] ?? '')
