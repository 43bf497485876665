import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FactorProof, PasskeyAnswer } from '../../core/factors/factors.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import { withDelayedFailure } from '../../http/minimum-duration.ts'
import { contextOf } from '../../http/request-context.ts'
import { canonicalEmail, type TokenResponse } from '../../http/schemas.ts'
import { clientKey } from '../../platform/client-key.ts'
import { type AnswerSignInUses, createAnswerSignIn } from './answer-sign-in.ts'
import { type LoginUses, login } from './login.ts'
import { type PasskeySignInUses, passkeySignIn } from './passkey-sign-in.ts'
import { type SecondStepUses, secondStep } from './second-step.ts'

export type SignInCallsUses = Omit<LoginUses, 'hashing'> &
  SecondStepUses &
  PasskeySignInUses &
  AnswerSignInUses &
  Uses<'passwords'>

/** How a client keeps its tokens, and what for. A page keeps them in cookies, and sends none in the body. */
interface Keeping {
  transport?: 'cookie' | 'body'
  device_token?: string
  resource?: string
}

/** The ways to sign in, for apps and for the built-in pages. Each ends the sessions that the browser had. */
export interface SignInCalls {
  /** @throws `origin_not_allowed`, `mfa_required`, and what `login` throws. */
  withPassword(
    request: FastifyRequest,
    reply: FastifyReply,
    input: Keeping & { email: string; password: string; registration_token?: string },
  ): Promise<TokenResponse>
  /** @throws `origin_not_allowed`, and what `secondStep` throws. */
  withSecondFactor(
    request: FastifyRequest,
    reply: FastifyReply,
    input: Omit<Keeping, 'transport'> & { mfa_token: string } & FactorProof,
  ): Promise<TokenResponse>
  /** @throws `origin_not_allowed`, and what `passkeySignIn` throws. */
  withPasskey(
    request: FastifyRequest,
    reply: FastifyReply,
    input: Keeping & PasskeyAnswer,
  ): Promise<TokenResponse>
  /**
   * The budget of a device that the account of the input knows: what others send from its address does not use it up.
   */
  budgetOf: {
    password(request: FastifyRequest, input: Keeping & { email: string }): Promise<string | null>
    secondFactor(
      request: FastifyRequest,
      input: Pick<Keeping, 'device_token'> & { mfa_token: string },
    ): Promise<string | null>
    passkey(request: FastifyRequest, input: Keeping & PasskeyAnswer): Promise<string | null>
  }
}

export function createSignInCalls(uses: SignInCallsUses): SignInCalls {
  const { db, origins, passwords, cookies, deviceTokens, factors, tickets, tokens } = uses
  const { requireOwnPage, finish } = createAnswerSignIn(uses)

  async function ownerOf(answer: PasskeyAnswer) {
    const id = await factors.passkeys.ownerOf(db, answer)
    return id === null ? null : { id }
  }

  return {
    async withPassword(request, reply, { password, transport = 'cookie', device_token, resource, ...input }) {
      requireOwnPage(request, transport)
      const target = tokens.targetOf(resource)
      const email = canonicalEmail(input.email)
      const device = await deviceTokens.of(request, transport, device_token, async () => ({ email }))
      const registrationTokens = input.registration_token
        ? [input.registration_token]
        : origins.cookiesOf(request, cookies.registration)
      const context = contextOf(request)
      const signedIn = await withDelayedFailure(async () => {
        const attempt = { email, password, transport, device, registrationTokens }
        const result = await passwords.admit(clientKey(context.ip), (hashing) =>
          login({ ...uses, hashing }, attempt, context),
        )
        if ('issued' in result) return result
        const { mfaToken: mfa_token, methods } = result
        throw new Problem('mfa_required', { mfa_token, methods })
      })
      return finish(request, reply, signedIn, device, target)
    },

    async withSecondFactor(request, reply, { mfa_token: mfaToken, device_token, resource, ...proof }) {
      const target = tokens.targetOf(resource)
      const ticket = tickets.open('mfa', mfaToken)
      const transport = ticket?.transport ?? 'body'
      requireOwnPage(request, transport)
      const owner = async () => ticket && { id: ticket.userId }
      const device = await deviceTokens.of(request, transport, device_token, owner)
      const attempt = { mfaToken, proof, device }
      const signedIn = await withDelayedFailure(() => secondStep(uses, attempt, contextOf(request)))
      return finish(request, reply, signedIn, device, target)
    },

    async withPasskey(request, reply, { transport = 'cookie', device_token, resource, ...answer }) {
      requireOwnPage(request, transport)
      const target = tokens.targetOf(resource)
      const device = await deviceTokens.of(request, transport, device_token, () => ownerOf(answer))
      const attempt = { answer, transport, device }
      const signedIn = await withDelayedFailure(() => passkeySignIn(uses, attempt, contextOf(request)))
      return finish(request, reply, signedIn, device, target)
    },

    budgetOf: {
      password: (request, { email, transport, device_token }) =>
        deviceTokens.budgetOf(request, { email: canonicalEmail(email) }, transport, device_token),
      async secondFactor(request, { mfa_token, device_token }) {
        const ticket = tickets.open('mfa', mfa_token)
        return ticket && deviceTokens.budgetOf(request, { id: ticket.userId }, ticket.transport, device_token)
      },
      async passkey(request, { transport, device_token, resource: _, ...answer }) {
        const owner = await ownerOf(answer)
        return owner && deviceTokens.budgetOf(request, owner, transport, device_token)
      },
    },
  }
}
