import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { oneOf } from '../../http/schemas.ts'
import type { Round, TaskReport } from '../../platform/background-round.ts'

const Report = Type.Object({
  task: Type.String(),
  result: oneOf(['done', 'unfinished', 'failed']),
  count: Type.Optional(Type.Integer()),
  reason: Type.Optional(Type.String()),
})
const Reports = Type.Object({ tasks: Type.Array(Report) })

/** Of any type: what starts a schedule may send an event of its own, which is not read. */
const ANY_TYPE = /^/
const BODY_LIMIT = 256 * 1024

/**
 * `POST /work` does once what nodes otherwise do beside the requests, and answers when it is done: 500 if a part failed.
 * Not for the public: each call makes a node work.
 */
export function workRoute(app: FastifyInstance, workOnce: Round): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(ANY_TYPE, (_request, payload, done) => {
    payload
      .resume()
      .on('end', () => done(null))
      .on('error', done)
  })
  app.post(
    '/work',
    {
      bodyLimit: BODY_LIMIT,
      config: { probe: true },
      schema: { hide: true, response: { 200: Reports, 500: Reports } },
    },
    async (_request, reply) => {
      const tasks: TaskReport[] = await workOnce()
      const isFailed = tasks.some(({ result }) => result === 'failed')
      return reply
        .code(isFailed ? 500 : 200)
        .header('cache-control', 'no-store')
        .send({ tasks })
    },
  )
}
