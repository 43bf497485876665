import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/** While the process drains, each answer ends its connection, so that the client opens one to another node. */
export const closeWhileDraining = fp(async (app: FastifyInstance, options: { draining(): boolean }) => {
  // At the end of a request: it may have begun before.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (options.draining()) reply.header('connection', 'close')
    done()
  })
})
