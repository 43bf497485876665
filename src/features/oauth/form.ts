import formbody from '@fastify/formbody'
import type { FastifyInstance } from 'fastify'
import { Problem } from '../../core/problems/problems.ts'

/** The parameters of a request (RFC 6749 §3.2). One without a value is as if it were not sent. */
export type Parameters = Readonly<Record<string, string>>

/** RFC 8707 §2 lets this one be sent more than once. It is refused where it may only be one, as `invalid_target`. */
const MAY_REPEAT = 'resource'

/** Accepts forms only, with each parameter once. Every refusal is one of RFC 6749 §5.2. */
export async function acceptForms(app: FastifyInstance): Promise<void> {
  app.removeAllContentTypeParsers()
  await app.register(formbody)
  app.addHook('preValidation', (request, _reply, done) => {
    const parameters: Record<string, string> = Object.create(null)
    // Without a body there are no parameters.
    for (const [name, sent] of Object.entries((request.body ?? {}) as Record<string, string | string[]>)) {
      const [value, another] = typeof sent === 'string' ? [sent] : sent.filter((each) => each !== '')
      if (another !== undefined) {
        const code = name === MAY_REPEAT ? 'invalid_target' : 'invalid_request'
        return done(new Problem(code, { detail: `${name} was sent more than once.` }))
      }
      if (value) parameters[name] = value
    }
    request.body = parameters
    done()
  })
}
