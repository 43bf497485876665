import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

/** Called at the end of a request; `isTaken` is false if the client had gone before all of the answer was written. */
export type RequestEnd = (request: FastifyRequest, reply: FastifyReply, isTaken: boolean) => void

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether there is an answer, and whether the request has ended with it. */
    progress: 'unanswered' | 'answered' | 'ended'
  }
}

/**
 * Calls each function once for each request. The framework's hook misses those whose client has gone: what they ask for is
 * done all the same, so that a guess without a reader must not go unseen.
 */
export const requestEnd = fp(async (app: FastifyInstance, { ends }: { ends: readonly RequestEnd[] }) => {
  app.decorateRequest('progress', 'unanswered')

  function end(request: FastifyRequest, reply: FastifyReply, isTaken: boolean): void {
    if (request.progress === 'ended') return
    request.progress = 'ended'
    for (const each of ends) each(request, reply, isTaken)
  }

  app.addHook('onRequest', (request, reply, done) => {
    // After an ordinary answer, the request has ended by then.
    reply.raw.on('close', () => {
      if (request.progress === 'answered') end(request, reply, false)
    })
    done()
  })
  app.addHook('onSend', (request, reply, payload, done) => {
    if (request.progress === 'unanswered') request.progress = 'answered'
    if (request.raw.socket.destroyed) end(request, reply, false)
    done(null, payload)
  })
  app.addHook('onResponse', (request, reply, done) => {
    end(request, reply, true)
    done()
  })
})
