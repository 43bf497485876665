import type { Socket } from 'node:net'
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

  /** Answers that wait for those to earlier requests of their connection: Node does not tell these that it has ended. */
  const queued = new WeakMap<Socket, Set<FastifyReply>>()

  function enqueue(socket: Socket, reply: FastifyReply): void {
    const known = queued.get(socket)
    if (known) return void known.add(reply)
    const replies = new Set([reply])
    queued.set(socket, replies)
    socket.once('close', () => {
      for (const each of replies) end(each.request, each, false)
    })
  }

  function end(request: FastifyRequest, reply: FastifyReply, isTaken: boolean): void {
    if (request.progress === 'ended') return
    request.progress = 'ended'
    queued.get(request.raw.socket)?.delete(reply)
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
    const { socket } = request.raw
    if (socket.destroyed) end(request, reply, false)
    else if (reply.raw.socket === null) enqueue(socket, reply)
    done(null, payload)
  })
  app.addHook('onResponse', (request, reply, done) => {
    end(request, reply, true)
    done()
  })
})
