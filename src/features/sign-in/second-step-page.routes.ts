import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { methodsOf } from '../../core/factors/factors.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import {
  Continued,
  type Interactions,
  InteractionTicket,
  notOurForm,
  openAgain,
  SIGN_IN,
  startAgain,
} from '../../http/interactions.ts'
import { FormQuery } from '../../http/link-page.ts'
import { consumes, type PageContent, pageWriter } from '../../http/page.ts'
import { type ProblemPages, tooManyAttempts } from '../../http/problem-page.ts'
import { factorProof, MfaToken, PasskeyAnswer, strict } from '../../http/schemas.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { secondStepPage } from './second-step-page.ts'
import type { SignInCalls } from './sign-in-calls.ts'
import { PASSKEY, SECOND_STEP, type SignInPage } from './sign-in-page.ts'

export type SecondStepRoutesUses = Uses<'db' | 'factors' | 'tickets'> & {
  calls: SignInCalls
  interactions: Interactions
  origins: TrustedOrigins
}

interface Options extends SecondStepRoutesUses {
  /** The page of the first step. @throws `token_invalid`. */
  again(
    request: FastifyRequest,
    page: Pick<SignInPage, 'fault' | 'isInvalid' | 'unknownPasskey'>,
  ): PageContent
}

/** The answer of a passkey as the script of the page writes it: the JSON of `PasskeyAnswer`. */
const PasskeyText = Type.String({ maxLength: 14_000 })
const PasskeyForm = Type.Object({ ticket: InteractionTicket, passkey: PasskeyText }, strict)
const SecondStepForm = Type.Object(
  {
    ticket: InteractionTicket,
    mfa_token: MfaToken,
    code: factorProof.code,
    recovery_code: factorProof.recovery_code,
    passkey: Type.Optional(PasskeyText),
  },
  strict,
)

/** Forms of the sign-in pages that prove something else than a password. */
export const secondStepRoutes: FastifyPluginAsyncTypebox<Options> = async (app, uses) => {
  const { db, factors, tickets, calls, interactions, origins, again } = uses
  const tags = ['pages']

  /** The second page again or, once its ticket has expired, the first one. @throws `token_invalid`. */
  async function secondAgain(request: FastifyRequest, fault: (field: Fault) => string): Promise<PageContent> {
    const { mfa_token: mfaToken, ...sent } = (request.body ?? {}) as Partial<Static<typeof SecondStepForm>>
    const writer = pageWriter(request)
    const mfa = typeof mfaToken === 'string' ? tickets.open('mfa', mfaToken) : null
    if (!mfa) return again(request, { fault: writer.say('second_step.expired') })
    const field = sent.passkey ? undefined : sent.recovery_code === undefined ? 'code' : 'recovery_code'
    return secondStepPage(writer, {
      interaction: interactions.open(sent.ticket ?? ''),
      mfaToken: mfaToken as string,
      methods: methodsOf(await factors.of(db, mfa.userId)),
      fault: { text: fault(field), field },
    })
  }

  const shared: ProblemPages = {
    token_invalid: startAgain,
    origin_not_allowed: notOurForm(interactions, SIGN_IN),
    unavailable: openAgain(interactions, SIGN_IN),
  }
  const wrong = (_problem: Problem, request: FastifyRequest) =>
    secondAgain(request, (field) =>
      pageWriter(request).say(field ? 'second_step.wrong' : 'second_step.passkey_failed'),
    )

  app.post(
    SECOND_STEP,
    {
      config: {
        limit: 'login_mfa',
        ownBudget: (request) => calls.budgetOf.secondFactor(request, ofTicket(request)),
        problemPages: {
          ...shared,
          validation_failed: wrong,
          mfa_invalid: wrong,
          passkey_invalid: wrong,
          too_many_attempts: (problem, request) =>
            secondAgain(request, () => tooManyAttempts(problem, pageWriter(request))),
        },
      },
      schema: {
        operationId: 'submitSecondStepForm',
        tags,
        summary: 'Submit the second factor on the sign-in page',
        description:
          'Exactly one of `code`, which may be a recovery code too, `recovery_code` and `passkey`. Apps call ' +
          '`POST /auth/login/mfa` instead.',
        consumes,
        querystring: FormQuery,
        body: SecondStepForm,
        response: { 303: Continued },
        problems: [
          'token_invalid',
          'origin_not_allowed',
          'mfa_invalid',
          'passkey_invalid',
          'too_many_attempts',
        ],
      },
    },
    async (request, reply) => {
      origins.requireOwn(request)
      const { ticket, mfa_token, code, recovery_code, passkey } = request.body
      const interaction = interactions.open(ticket)
      const proof = passkey
        ? { passkey: parsePasskey(passkey) }
        : recovery_code === undefined && code !== undefined && isRecoveryCode(code)
          ? { recovery_code: code }
          : { code, recovery_code }
      const { session } = await calls.withSecondFactor(request, reply, { mfa_token, ...proof })
      return interactions.goOn(request, reply, interaction, session)
    },
  )

  const unknownPasskey = (_problem: Problem, request: FastifyRequest) => {
    const { passkey } = request.body as Static<typeof PasskeyForm>
    const fault = pageWriter(request).say('sign_in.passkey_unknown')
    return again(request, { fault, unknownPasskey: parsePasskey(passkey).credential.id })
  }
  const failed = (_problem: Problem, request: FastifyRequest) =>
    again(request, { fault: pageWriter(request).say('sign_in.passkey_failed') })

  app.post(
    PASSKEY,
    {
      config: {
        limit: 'login_passkey',
        ownBudget: async (request) => {
          const { passkey } = request.body as Static<typeof PasskeyForm>
          const answer = tryToParse(passkey)
          return answer && calls.budgetOf.passkey(request, answer)
        },
        problemPages: {
          ...shared,
          validation_failed: failed,
          passkey_invalid: failed,
          passkey_unknown: unknownPasskey,
          too_many_attempts: (problem, request) =>
            again(request, { fault: tooManyAttempts(problem, pageWriter(request)) }),
        },
      },
      schema: {
        operationId: 'submitPasskeyForm',
        tags,
        summary: 'Sign in with a passkey on the sign-in page',
        description:
          'The script of the page sends the answer to `POST /auth/login/passkey/options` as the JSON text `passkey`. ' +
          'Apps call `POST /auth/login/passkey` instead.',
        consumes,
        querystring: FormQuery,
        body: PasskeyForm,
        response: { 303: Continued },
        problems: [
          'token_invalid',
          'origin_not_allowed',
          'passkey_invalid',
          'passkey_unknown',
          'password_reset_required',
          'too_many_attempts',
        ],
      },
    },
    async (request, reply) => {
      origins.requireOwn(request)
      const interaction = interactions.open(request.body.ticket)
      const { session } = await calls.withPasskey(request, reply, parsePasskey(request.body.passkey))
      return interactions.goOn(request, reply, interaction, session)
    },
  )
}

type Fault = 'code' | 'recovery_code' | undefined
const ofTicket = ({ body }: FastifyRequest) => ({ mfa_token: (body as { mfa_token: string }).mfa_token })

/** Whether what was typed as the code of an app is longer than one, as a recovery code is. */
const isRecoveryCode = (code: string) => code.replace(/[^\p{L}\p{N}]/gu, '').length > 10

/** @throws `passkey_invalid`. */
function parsePasskey(text: string): Static<typeof PasskeyAnswer> {
  const answer = tryToParse(text)
  if (!answer) throw new Problem('passkey_invalid')
  return answer
}

function tryToParse(text: string): Static<typeof PasskeyAnswer> | null {
  try {
    const answer: unknown = JSON.parse(text)
    return Value.Check(PasskeyAnswer, answer) ? answer : null
  } catch {
    return null
  }
}
