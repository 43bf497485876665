import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { clientAddress as addressOf, type TrustHop } from '../platform/trusted-proxies.ts'

/**
 * Makes `request.ip` the client's address in its one spelling. The framework's own would quote what a proxy passes on
 * unread, so its option `trustProxy` stays off; no other forwarded header is believed.
 */
export const clientAddress = fp(async (app: FastifyInstance, { trusts }: { trusts: TrustHop }) => {
  app.decorateRequest<string, 'ip'>('ip', {
    getter(this: FastifyRequest) {
      const { socket, headers } = this.raw
      // Node joins repeated headers of this name.
      return addressOf(socket.remoteAddress, headers['x-forwarded-for'] as string | undefined, trusts)
    },
  })
})
