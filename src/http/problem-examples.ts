import type { FastifySchema } from 'fastify'
import type { MembersOf, ProblemCode } from '../core/problems/problems.ts'

declare module 'fastify' {
  interface FastifySchema {
    /** Members of this route's problems that differ from those of other routes. For the documentation. */
    problemExamples?: ProblemExamples
  }
}

export type ProblemExamples = { [Code in ProblemCode]?: MembersOf<Code> }

/** What problems have besides their code, as they are answered. Tests compare them with real answers. */
const MEMBERS: ProblemExamples = {
  password_too_weak: {
    reasons: ['too_short'],
    detail: 'A password needs at least 12 characters; 8 with a second factor.',
  },
  session_ended: { reason: 'logout' },
  insufficient_user_authentication: { max_age: 300 },
  mfa_required: { methods: ['totp', 'recovery_code'] },
  insufficient_scope: { scope: 'admin:users:read' },
  signing_key_waits: { signs_at: '2026-11-28T11:00:00.000Z' },
  origin_not_allowed: { detail: 'ALLOWED_ORIGINS of the server does not list the origin of this page.' },
  too_many_attempts: { reason: 'rate_limited', retryAfter: 60 },
}

/** The members of the example of a problem of a route. */
export const exampleMembers = (code: ProblemCode, schema: FastifySchema): MembersOf<ProblemCode> =>
  schema.problemExamples?.[code] ?? (code === 'validation_failed' ? faultOf(schema) : MEMBERS[code]) ?? {}

interface ObjectSchema {
  required?: readonly string[]
  properties?: Record<string, { format?: string }>
  minProperties?: number
  additionalProperties?: boolean
}

/** Whether a request can fail the schemas of its route. */
export const canBeInvalid = (schema: FastifySchema): boolean => faultOf(schema) !== undefined

/** The first fault that the schemas of a route allow: an id that is none, a missing member, an unknown one. */
function faultOf({ params, body, querystring }: FastifySchema): MembersOf<'validation_failed'> | undefined {
  const id = Object.entries((params as ObjectSchema | undefined)?.properties ?? {}).find(
    ([, { format }]) => format === 'uuid',
  )
  if (id)
    return { detail: 'The path is not valid.', errors: [{ pointer: `/${id[0]}`, detail: 'must be a UUID' }] }
  for (const [part, schema] of Object.entries({ body, query: querystring }) as [string, ObjectSchema?][]) {
    const fault = schema && faultIn(schema)
    if (fault) return { detail: `The ${part} is not valid.`, errors: fault }
  }
  return undefined
}

function faultIn({ required = [], additionalProperties, minProperties }: ObjectSchema) {
  if (required.length > 0)
    return required.map((name) => ({ pointer: `/${name}`, detail: `must have required property '${name}'` }))
  if (minProperties) return [{ pointer: '', detail: `must NOT have fewer than ${minProperties} properties` }]
  if (additionalProperties !== false) return undefined
  return [{ pointer: '/unknown', detail: 'must NOT have additional properties' }]
}
