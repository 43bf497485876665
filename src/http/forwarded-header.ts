import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Log } from '../platform/log.ts'
import { clientAddress, type TrustHop } from '../platform/trusted-proxies.ts'

export interface ForwardedHeaderOptions {
  log: Pick<Log, 'warn'>
  trusts: TrustHop
}

const HEADERS = ['x-forwarded-for', 'forwarded', 'x-real-ip'] as const
const ADVICE =
  'if this address is your proxy, set TRUST_PROXY: without it all people share one address, and its rate limits; if there is no proxy, somebody made the header up and nothing is wrong'

/** Warns, once in the life of a process, when a proxy seems to be in front of the server and `TRUST_PROXY` does not say so. */
export const forwardedHeader = fp(async (app: FastifyInstance, { log, trusts }: ForwardedHeaderOptions) => {
  let isTold = false
  app.addHook('onRequest', (request, _reply, done) => {
    if (isTold) return done()
    const header = HEADERS.find((name) => request.headers[name] !== undefined)
    if (!header) return done()
    const peer = clientAddress(request.socket.remoteAddress, undefined, trusts)
    if (!trusts(peer, 0)) {
      isTold = true
      const message = 'a request has a header of a proxy that is not trusted'
      log.warn({ event: 'untrusted_proxy', header, peer, advice: ADVICE }, message)
    }
    done()
  })
})
