import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/**
 * Writes what is pending before each answer, for a platform that freezes or ends a process after it. While Postgres is
 * unavailable the answer does not wait: a refusal would make clients send tokens again that are used up.
 */
export const writeBeforeAnswer = fp(
  async (app: FastifyInstance, { writePending }: { writePending(): Promise<void> }) => {
    app.addHook('onSend', async ({ routeOptions }) => {
      if (!routeOptions.config?.probe) await writePending()
    })
  },
)
