import type { FastifyReply, FastifyRequest } from 'fastify'
import { isProblem, type Problem, type ProblemCode } from '../core/problems/problems.ts'
import { escapeHtml } from '../platform/html.ts'
import { linkButton, type PageContent, type PageWriter, pageWriter, signInButton } from './page.ts'
import { PAGE_TEXTS, type PageText } from './page-texts.ts'

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

/** The codes that people can meet have texts of their own. */
type ToldCode = Extract<
  ProblemCode,
  PageText extends infer T ? (T extends `problem.${infer C}` ? C : never) : never
>
const isTold = (code: ProblemCode): code is ToldCode => Object.hasOwn(PAGE_TEXTS, `problem.${code}`)

/** The page of a problem for which its route has no page of its own. */
export function generalPage(problem: Problem, request: FastifyRequest): PageContent {
  const { code, status, members } = problem
  const writer = pageWriter(request)
  const isWaiting = (status === 429 || status >= 500) && code !== 'revocation_pending'
  const report =
    status >= 500 ? `<p class="soft">${writer.say('problem.report', { id: request.id })}</p>` : ''
  const further = isWaiting ? tryAgain(request, writer, members.retryAfter ?? 1) : signInButton(writer)
  return {
    title: writer.say(isTold(code) ? `problem.${code}` : 'problem.other'),
    body: `${textOf(problem, writer)}${further}${report}`,
  }
}

function textOf(problem: Problem, { say }: PageWriter): string {
  const { code, members } = problem
  if (isProblem(problem, 'too_many_attempts') && problem.members.reason !== 'rate_limited')
    return `<p>${say('problem.locked_text')}</p>`
  if (isTold(code)) return `<p>${say(`problem.${code}_text`)}</p>`
  // Its readers are developers who opened an address of the API.
  const detail = members.detail ? `<p class="soft" lang="en">${escapeHtml(members.detail)}</p>` : ''
  return `<p>${say('problem.other_text', { code })}</p>${detail}`
}

/** What to say of too many attempts above the form that was sent. */
export function tooManyAttempts(
  problem: Problem<'too_many_attempts'>,
  writer: Pick<PageWriter, 'say' | 'lang'>,
): string {
  const isLimit = problem.members.reason === 'rate_limited'
  const why = isLimit ? 'problem.too_many_attempts_text' : 'problem.locked_text'
  return `${writer.say(why)} ${whenAgain(problem, writer)}`
}

/** When to try again, as a sentence. */
export function whenAgain(
  { members }: Problem<'too_many_attempts'>,
  { say, lang }: Pick<PageWriter, 'say' | 'lang'>,
): string {
  const when = inWords(members.retryAfter ?? 1, lang)
  return when ? say('retry.later', { when }) : say('retry.soon')
}

/** When to try again, and how: a page can be opened again, but a form has to be sent from its page. */
function tryAgain(request: FastifyRequest, { say, lang }: PageWriter, seconds: number): string {
  const when = inWords(seconds, lang)
  const isOpened = request.method === 'GET' || request.method === 'HEAD'
  // The path of a known route: any other could begin with two slashes, and so lead to another server.
  if (!isOpened || !request.routeOptions?.url)
    return `<p>${when ? say('retry.form_later', { when }) : say('retry.form_soon')}</p>`
  // Without the host that a request line may name.
  const { pathname, search } = new URL(request.url, 'http://localhost')
  const text = when ? say('retry.later', { when }) : say('retry.soon')
  return `<p>${text}</p>${linkButton(say('retry.button'), escapeHtml(pathname + search))}`
}

/** 45 → `in 45 seconds`, 600 → `in 10 minutes`; null if it is not worth counting. */
function inWords(seconds: number, lang: string): string | null {
  if (seconds <= 2) return null
  const format = new Intl.RelativeTimeFormat(lang)
  if (seconds < 120) return format.format(seconds, 'second')
  return seconds < 7_200
    ? format.format(Math.ceil(seconds / 60), 'minute')
    : format.format(Math.ceil(seconds / 3_600), 'hour')
}
