import type { FastifyInstance } from 'fastify'
import { lift, mark } from '../../core/mail/mail.ts'
import type { Uses } from '../../core/uses.ts'
import { NoContent } from '../../http/schemas.ts'
import { readEvent } from './read-mail-provider-event.ts'

export type MailProviderEventsUses = Uses<'db' | 'clock' | 'metrics'> & {
  /** `whsec_…`; without it the route does not exist. */
  webhookSecret: string | undefined
}

/** An event can contain the receiving server's response and a long list of recipients. */
const BODY_LIMIT = 256 * 1024

/** The webhook for Resend's delivery reports. Only signed events are applied. */
export async function mailProviderEventsRoutes(
  app: FastifyInstance,
  { db, clock, metrics, webhookSecret }: MailProviderEventsUses,
): Promise<void> {
  if (webhookSecret === undefined) return
  // Only now, because it loads the provider's library.
  const { verifySignature } = await import('./verify-signature.ts')
  // The signature covers the raw bytes, so this route's parser leaves them unparsed.
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, bytes, done) =>
    done(null, bytes),
  )

  app.post(
    '/webhooks/resend',
    {
      bodyLimit: BODY_LIMIT,
      config: { limit: 'webhooks' },
      schema: {
        operationId: 'receiveMailProviderEvent',
        tags: ['operations'],
        summary: 'Receive a signed event from the mail provider',
        description:
          'The body is an event of Resend, signed as Standard Webhooks describe. Events that mean nothing here are ignored.',
        response: { 204: NoContent },
        problems: ['signature_invalid', 'body_too_large', 'unsupported_media_type'],
      },
    },
    async (request, reply) => {
      let body: unknown
      try {
        body = verifySignature(webhookSecret, request.body, request.headers)
      } catch (error) {
        metrics.countWebhook('refused')
        throw error
      }
      const event = readEvent(body, clock.now())
      if (!event) {
        metrics.countWebhook('ignored')
        return reply.status(204).send(null)
      }
      const { finding, address, at } = event
      const changed =
        finding === 'lifted' ? await lift(db, address, at) : await mark(db, address, finding, at)
      metrics.countWebhook(changed ? 'applied' : 'unchanged')
      if (changed) {
        if (finding !== 'lifted') metrics.countMarkedAddress(finding)
        request.log.info({ event: 'mail_address_reported', finding }, 'the mail provider reported an address')
      }
      return reply.status(204).send(null)
    },
  )
}
