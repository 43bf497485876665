import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { readUserCode, writeUserCode } from '../../../core/grants/grants.ts'
import { Problem } from '../../../core/problems/problems.ts'
import type { Limits } from '../../../http/limits.ts'
import { AnyQuery, FormQuery } from '../../../http/link-page.ts'
import { Page, pageWriter, sendPage } from '../../../http/page.ts'
import { whenAgain } from '../../../http/problem-page.ts'
import { contextOf } from '../../../http/request-context.ts'
import { strict } from '../../../http/schemas.ts'
import type { TrustedOrigins } from '../../../http/trusted-origin.ts'
import { clientKey } from '../../../platform/client-key.ts'
import { PATHS } from '../metadata.ts'
import { findOwnSession, type OwnSession } from '../own-session.ts'
import { type AnswerDeviceUses, allowDevice, denyDevice, findClaimed, openCode } from './answer-device.ts'
import { CONTINUE, type CodeFormUses, createCodeForm } from './code-form.ts'
import { DECIDE, decidedPage, deviceConsentPage, LONGEST_CODE, lostCodePage } from './device-pages.ts'

export type DeviceRoutesUses = AnswerDeviceUses &
  CodeFormUses & {
    limits: Limits
    origins: TrustedOrigins
  }

const CONSENT_TTL = 600

const CodeForm = Type.Object({ user_code: Type.String({ maxLength: LONGEST_CODE }) }, strict)
const DecisionForm = Type.Object(
  {
    ticket: Type.String({ minLength: 1, maxLength: 2_048 }),
    decision: Type.Union([Type.Literal('allow'), Type.Literal('deny')]),
  },
  strict,
)
const Redirect = Type.Null({ description: 'On to the page to sign in on' })

/** The page on which the user of a device answers what it asks for (RFC 8628 §3.3). */
export const deviceRoutes: FastifyPluginAsyncTypebox<DeviceRoutesUses> = async (app, uses) => {
  const { tickets, clock, limits, origins } = uses
  const tags = ['third parties']
  const consumes = ['application/x-www-form-urlencoded']
  const { findSignedIn, signIn, showForm, formPage } = createCodeForm(uses)
  await app.register(formbody, { parser: (body) => Object.fromEntries(new URLSearchParams(body)) })

  app.get(
    PATHS.device,
    {
      config: { limit: 'public' },
      schema: {
        operationId: 'showDevicePage',
        tags,
        summary: 'Show the page for the code of a device (RFC 8628 §3.3)',
        description:
          'Opened by the user of a device, who signs in first. `user_code` fills the form in; nothing happens to it ' +
          'before the user sends the form.',
        querystring: AnyQuery,
        response: { 200: Page, 303: Redirect },
      },
    },
    async (request, reply) => showForm(request, reply, userCodeIn(request.query)),
  )

  app.get(
    CONTINUE,
    {
      config: { limit: 'public' },
      schema: {
        operationId: 'continueDevicePage',
        tags,
        summary: 'Go on with the code of a device after a sign-in',
        description: 'The pages to sign in and to sign up on lead here.',
        querystring: AnyQuery,
        response: { 200: Page, 303: Redirect },
      },
    },
    async (request, reply) => {
      const { ticket } = request.query as { ticket?: unknown }
      const interaction = typeof ticket === 'string' ? tickets.open('interaction', ticket) : null
      // One that has expired has only held the code, which the person can enter again.
      const query = interaction?.path === CONTINUE ? interaction.query : ''
      return showForm(request, reply, userCodeIn(Object.fromEntries(new URLSearchParams(query))))
    },
  )

  app.post(
    PATHS.device,
    {
      config: {
        limit: 'device',
        problemPages: {
          token_used: (_problem, request) => lostCodePage(pageWriter(request), 'used'),
          token_invalid: async (problem, request, reply) => {
            const signedIn = await findSignedIn(reply)
            if (!signedIn) throw problem
            const { user_code: userCode } = request.body as Static<typeof CodeForm>
            return formPage(request, signedIn.user, userCode, true)
          },
          too_many_attempts: (problem, request) => {
            const writer = pageWriter(request)
            const text = `${writer.say('device.too_many')} ${whenAgain(problem, writer)}`
            return { title: writer.say('problem.too_many_attempts'), body: `<p>${text}</p>` }
          },
        },
      },
      schema: {
        operationId: 'enterUserCode',
        tags,
        summary: 'Enter the code of a device',
        description:
          'The form of the page. The code belongs to the first account that enters it; ten wrong ones of an account in ' +
          'ten minutes are too many. Only a page of this server may send it.',
        consumes,
        querystring: FormQuery,
        body: CodeForm,
        response: { 200: Page, 303: Redirect },
        problems: ['token_invalid', 'token_used', 'origin_not_allowed', 'too_many_attempts'],
      },
    },
    async (request, reply) => {
      origins.requireOwn(request)
      const { user_code: userCode } = request.body
      const signedIn = await findSignedIn(reply)
      if (!signedIn) return signIn(request, reply, userCode)
      const { session, user } = signedIn
      await limits.device_code(request, reply, `user:${user.id}`)
      const opened = await openCode(uses, userCode, session, contextOf(request))
      if (opened === 'used') throw new Problem('token_used')
      if (opened === 'unknown') throw new Problem('token_invalid')
      const { device } = opened
      const data = { deviceId: device.id, sessionId: session.claims.sid }
      const page = {
        claimed: opened,
        user,
        consentTicket: tickets.issue('device_consent', data, CONSENT_TTL),
        userCode: writeUserCode(readUserCode(userCode) ?? ''),
        isSameNetwork: clientKey(device.ip) === clientKey(request.ip),
        now: clock.now(),
      }
      return sendPage(reply, 200, deviceConsentPage(pageWriter(request), page))
    },
  )

  app.post(
    DECIDE,
    {
      config: {
        limit: 'consent',
        problemPages: {
          token_invalid: (_problem, request) => lostCodePage(pageWriter(request), 'expired'),
        },
      },
      schema: {
        operationId: 'decideDevice',
        tags,
        summary: 'Allow or refuse what a device asks for',
        description: 'The form of the page that asks the user. Only a page of this server may send it.',
        consumes,
        querystring: FormQuery,
        body: DecisionForm,
        response: { 200: Page, 303: Redirect },
        problems: ['token_invalid', 'origin_not_allowed'],
      },
    },
    async (request, reply) => {
      origins.requireOwn(request)
      const { ticket, decision } = request.body
      const asked = tickets.open('device_consent', ticket)
      if (!asked) throw new Problem('token_invalid')
      const session = await findOwnSession(uses, reply, `device ${asked.deviceId}`)
      // Somebody else has signed in since, or nobody is signed in any more.
      if (session?.claims.sid !== asked.sessionId) return signIn(request, reply)
      const isDecided = await decide(request, asked.deviceId, decision, session)
      if (isDecided === null) return signIn(request, reply)
      // What was answered before stays so: the page says what it is.
      const found = isDecided || (await findClaimed(uses, asked.deviceId, session.claims.sub))
      const answer = found === true ? ANSWERS[decision] : found
      if (answer !== 'allowed' && answer !== 'denied') throw new Problem('token_invalid')
      return sendPage(reply, 200, decidedPage(pageWriter(request), answer))
    },
  )

  /** False if there was nothing to decide; null if nobody is signed in any more. */
  async function decide(
    request: FastifyRequest,
    deviceId: string,
    decision: 'allow' | 'deny',
    session: OwnSession,
  ): Promise<boolean | null> {
    const claimed = await findClaimed(uses, deviceId, session.claims.sub)
    if (!claimed || typeof claimed === 'string') return false
    const context = contextOf(request)
    if (decision === 'deny') return denyDevice(uses, claimed, session, context)
    return allowDevice(uses, claimed, session, context)
  }
}

const ANSWERS = { allow: 'allowed', deny: 'denied' } as const

/** What a link says the code is; empty without a usable one. */
function userCodeIn(query: unknown): string {
  const { user_code: userCode } = query as { user_code?: unknown }
  const letters = typeof userCode === 'string' ? readUserCode(userCode) : null
  return letters ? writeUserCode(letters) : ''
}
