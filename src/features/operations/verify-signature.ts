import type { IncomingHttpHeaders } from 'node:http'
import { Resend } from 'resend'
import { Problem } from '../../core/problems/problems.ts'

// Only the signature check is used, and it needs no API key.
const { webhooks } = new Resend('re_unused')
// A lenient decoder would accept bytes that were not signed.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Returns the JSON of a body that Resend signed within the last five minutes (Standard Webhooks; while a secret is
 * rotated there are several signatures, and one valid one is enough). Undefined if the signed body is not JSON.
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
    // The body is parsed only after its signature was verified.
    if (error instanceof SyntaxError) return undefined
    throw new Problem('signature_invalid', {}, { cause: error })
  }
}
