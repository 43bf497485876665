import type { FastifyReply, FastifyRequest } from 'fastify'
import { isProblem, type Problem, type ProblemCode, problems } from '../core/problems/problems.ts'
import { escapeHtml } from '../platform/html.ts'
import { linkButton, type PageContent, signInButton } from './page.ts'

/** What a route shows to people instead of the general page of a problem. May reject: then it is the general page. */
export type ProblemPages = {
  [Code in ProblemCode]?: (
    problem: Problem<Code>,
    request: FastifyRequest,
    reply: FastifyReply,
  ) => PageContent | Promise<PageContent>
}

declare module 'fastify' {
  interface FastifyContextConfig {
    problemPages?: ProblemPages
  }
}

/** Title and text for each problem that people can meet; the others have the title and the detail of the problem. */
const WORDS: { [Code in ProblemCode]?: readonly [title: string, text: string] } = {
  validation_failed: [
    'This request is not complete',
    'Something is missing or has been cut off. If a mail brought you here, open its link again, or copy the whole link.',
  ],
  not_found: [
    'This page does not exist',
    'Check the address. If a mail brought you here, open its link again, or copy the whole link.',
  ],
  method_not_allowed: [
    'This page cannot be opened like this',
    'Go back, and follow the link or the form that leads here.',
  ],
  body_too_large: ['That was too long', 'Go back, and enter less.'],
  unsupported_media_type: [
    'This form could not be read',
    'Go back, reload the page, and send its form again.',
  ],
  too_many_attempts: ['Too many attempts', 'There have been too many attempts from your network.'],
  internal_error: ['Something went wrong on our side', 'It is not your fault, and it has been recorded.'],
  unavailable: ['We cannot answer right now', 'It is not your fault, and nothing is lost.'],
  overloaded: ['We are very busy right now', 'It is not your fault, and nothing is lost.'],
  revocation_pending: [
    'This is done',
    'It may take a moment until it is known everywhere. You need not do it again.',
  ],
}

/** The page of a problem for which its route has no page of its own. */
export function generalPage(problem: Problem, request: FastifyRequest, reply: FastifyReply): PageContent {
  const { code, status, members } = problem
  const isLock = isProblem(problem, 'too_many_attempts') && problem.members.reason !== 'rate_limited'
  const [title, words] = WORDS[code] ?? [problems[code][1], members.detail ?? '']
  const text = isLock ? (members.detail ?? words) : words
  const isWaiting = (status === 429 || status >= 500) && code !== 'revocation_pending'
  const report =
    status >= 500 ? `<p class="soft">If you report this, quote ${escapeHtml(request.id)}.</p>` : ''
  const further = isWaiting ? tryAgain(request, members.retryAfter) : signInButton(reply)
  return { title: escapeHtml(title), body: `<p>${escapeHtml(text)}</p>${further}${report}` }
}

/** When to try again, and how: a page can be opened again, but a form has to be sent from its page. */
function tryAgain(request: FastifyRequest, seconds: number | undefined): string {
  const when = inWords(seconds ?? 1)
  const isOpened = request.method === 'GET' || request.method === 'HEAD'
  // The path of a known route: any other could begin with two slashes, and so lead to another server.
  if (!isOpened || !request.routeOptions?.url) return `<p>Go back, and try again ${when}.</p>`
  // Without the host that a request line may name.
  const { pathname, search } = new URL(request.url, 'http://localhost')
  return `<p>Try again ${when}.</p>${linkButton('Try again', pathname + search)}`
}

/** 1 → `in a moment`, 45 → `in 45 seconds`, 600 → `in 10 minutes` */
function inWords(seconds: number): string {
  if (seconds <= 2) return 'in a moment'
  if (seconds < 120) return `in ${seconds} seconds`
  return seconds < 7_200 ? `in ${Math.ceil(seconds / 60)} minutes` : `in ${Math.ceil(seconds / 3_600)} hours`
}
