import type { FastifyInstance, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { isProblem, Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'

export type ProofUses = Uses<'dpop'> & {
  /** This server's origin, as clients know it. */
  issuer: string
}

declare module 'fastify' {
  interface FastifyRequest {
    /** At the token endpoint: the thumbprint (RFC 7638) of the key that a proof has proven; null without a proof. */
    proven: string | null
    /** What the answer offers for the next proof (RFC 9449 §8). */
    dpopNonce: string | null
  }
}

/**
 * The thumbprint (RFC 7638) of the key that the `DPoP` header of a request proves, for a token that is presented with it
 * if one is; null without the header. A proof works once, so this is called once for a request.
 * @throws `invalid_dpop_proof`, also for a client that may not go without; `use_dpop_nonce`; `unavailable`.
 */
export type ProofOf = (request: FastifyRequest, options?: { accessToken?: string }) => Promise<string | null>

/** Answers with the nonce for the next proof. */
export async function acceptProofs(app: FastifyInstance): Promise<void> {
  app.decorateRequest('proven', null)
  app.decorateRequest('dpopNonce', null)
  app.addHook('onSend', ({ dpopNonce }, reply, payload, done) => {
    if (dpopNonce) reply.header('dpop-nonce', dpopNonce)
    done(null, payload)
  })
}

export const createProofOf =
  ({ dpop, issuer }: ProofUses): ProofOf =>
  async (request, { accessToken } = {}) => {
    const proof = proofIn(request)
    if (proof === undefined) {
      if (!request.client?.requiresDpop) return null
      throw new Problem('invalid_dpop_proof', { detail: 'The client must send a proof.' })
    }
    const url = issuer + request.url.split('?')[0]
    try {
      const { thumbprint, nonce } = await dpop.check(proof, { method: request.method, url, accessToken })
      request.dpopNonce = nonce
      return thumbprint
    } catch (error) {
      if (isProblem(error, 'use_dpop_nonce')) request.dpopNonce = await dpop.nonce()
      throw error
    }
  }

/**
 * Asks for a nonce before anything else of the request is used up, such as an assertion: the client sends the rest again.
 * @throws `use_dpop_nonce`.
 */
export const requireNonce =
  ({ dpop }: Uses<'dpop'>): onRequestAsyncHookHandler =>
  async (request) => {
    const proof = proofIn(request)
    if (proof === undefined || !dpop.lacksNonce(proof)) return
    request.dpopNonce = await dpop.nonce()
    throw new Problem('use_dpop_nonce')
  }

/** Several headers are one text with commas, which no proof has. */
const proofIn = ({ headers }: FastifyRequest) => headers.dpop as string | undefined
