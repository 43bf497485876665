import type { FastifyInstance } from 'fastify'
import { lift, mark } from '../../core/mail/suppression.ts'
import type { RateLimits } from '../../http/rate-limit.ts'
import { NoContent } from '../../http/schemas.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'
import type { Metrics } from '../../platform/metrics.ts'
import { readEvent } from './read-mail-provider-event.ts'
import { verifySignature } from './verify-signature.ts'

export interface MailProviderEventsDeps {
  db: Database
  clock: Clock
  metrics: Pick<Metrics, 'countMarkedAddress' | 'countWebhook'>
  rateLimits: RateLimits
  /** `whsec_…` */
  webhookSecret: string
}

/** An event can quote what the receiving server said, and a whole list of recipients. */
const BODY_LIMIT = 256 * 1024

/** Where Resend reports what became of mail. Whatever is signed is true; whatever is not changes nothing. */
export async function mailProviderEvents(app: FastifyInstance, deps: MailProviderEventsDeps): Promise<void> {
  const { db, clock, metrics, webhookSecret } = deps
  // The signature is over the bytes: nothing reads them before it has been checked. In this room only.
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, bytes, done) =>
    done(null, bytes),
  )

  app.post(
    '/webhooks/resend',
    {
      bodyLimit: BODY_LIMIT,
      // Wide, for the provider calls from a few addresses only; it tries again what was refused.
      onRequest: deps.rateLimits.limit('webhooks', 1_200, 60),
      schema: {
        tags: ['operations'],
        summary: 'Events of the mail provider, signed by it',
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
