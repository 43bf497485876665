import type { IncomingHttpHeaders } from 'node:http'
import { Resend } from 'resend'
import { Problem } from '../../core/problems/problems.ts'

// Only the check of signatures is used, which needs no key of the API.
const { webhooks } = new Resend('re_unused')
// A lenient decoder would let bytes pass that nobody signed.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The JSON in a body that Resend signed within the last five minutes (Standard Webhooks; one fitting signature
 * of several is enough, as there are while a secret is rotated). Undefined if what was signed is no JSON.
 * @throws `signature_invalid`.
 */
export function verifySignature(secret: string, body: unknown, headers: IncomingHttpHeaders): unknown {
  try {
    return webhooks.verify({
      payload: utf8.decode(body as Buffer),
      headers: {
        id: String(headers['svix-id'] ?? ''),
        timestamp: String(headers['svix-timestamp'] ?? ''),
        signature: String(headers['svix-signature'] ?? ''),
      },
      webhookSecret: secret,
    })
  } catch (error) {
    // The body is parsed last, once its signature has been found to fit.
    if (error instanceof SyntaxError) return undefined
    throw new Problem('signature_invalid', {}, { cause: error })
  }
}
