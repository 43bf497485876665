import type { FastifySchema, RouteOptions } from 'fastify'
import { Type } from 'typebox'
import { Problem, type ProblemCode, problems } from '../core/problems/problems.ts'
import {
  ATTEMPT_CAPS,
  FACTOR_METHODS,
  PASSWORD_FAULTS,
  SESSION_ENDED_REASONS,
} from '../core/reasons/reasons.ts'
import { oauthDocument } from './oauth-error.ts'
import { Page } from './page.ts'
import { MAX_FAULTS, problemDocument } from './problem-details.ts'
import { canBeInvalid, exampleMembers } from './problem-examples.ts'
import { policyProblems } from './route-policy.ts'
import { oneOf } from './schemas.ts'

export const ProblemDocument = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: oneOf(Object.keys(problems), { description: 'Stable: clients should decide by it' }),
    request_id: Type.String(),
    detail: Type.Optional(Type.String({ description: 'An explanation for people' })),
    reason: Type.Optional(
      oneOf([...SESSION_ENDED_REASONS, ...ATTEMPT_CAPS], {
        description: 'With `session_ended`: why it ended. With `too_many_attempts`: which limit was reached',
      }),
    ),
    reasons: Type.Optional(
      Type.Array(oneOf(PASSWORD_FAULTS), {
        description: 'With `password_too_weak`: what is wrong with the password',
      }),
    ),
    max_age: Type.Optional(
      Type.Integer({
        description: 'With `insufficient_user_authentication`: how old the sign-in may be, in seconds',
      }),
    ),
    scope: Type.Optional(Type.String({ description: 'With `insufficient_scope`: what the call needs' })),
    signs_at: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'With `signing_key_waits`: when the key begins to sign',
      }),
    ),
    mfa_token: Type.Optional(
      Type.String({
        description:
          'Only with `mfa_required` at sign-in: for `POST /auth/login/mfa`, valid for five minutes',
      }),
    ),
    methods: Type.Optional(
      Type.Array(oneOf(FACTOR_METHODS), {
        description: 'With `mfa_required`: the accepted methods, in the order to offer them',
      }),
    ),
    errors: Type.Optional(
      Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }), {
        description: 'With `validation_failed`: one entry for each of the first faults, with a JSON pointer',
        maxItems: MAX_FAULTS,
      }),
    ),
  },
  { $id: 'Problem', description: 'A problem (RFC 9457)' },
)

export const OAuthError = Type.Object(
  {
    error: Type.String({ description: 'Stable: clients should decide by it' }),
    error_description: Type.String(),
    request_id: Type.String(),
  },
  { $id: 'OAuthError', description: 'An error of an OAuth endpoint (RFC 6749 §5.2)' },
)

const REQUEST_ID = '3ff3bd35-5af9-4795-94dd-1d1daed188d6'

/** The media types of all responses. */
const contentOf = (response: unknown): object =>
  Object.assign(
    {},
    ...Object.values((response ?? {}) as Record<string, { content?: object }>).map((it) => it.content),
  )

/** The problems of a route, by status. */
export function problemResponses(route: RouteOptions, schema: FastifySchema): Record<string, object> {
  const codes = new Set<ProblemCode>([
    ...(canBeInvalid(schema) ? (['validation_failed'] as const) : []),
    ...policyProblems(route),
    ...(schema.body ? (['request_timeout', 'body_too_large', 'unsupported_media_type'] as const) : []),
    ...(schema.problems ?? []),
    'internal_error',
    'unavailable',
  ])
  const isPage = 'text/html' in contentOf(schema.response) || route.config?.problemPages !== undefined
  const responses: Record<string, object> = {}
  for (const status of new Set([...codes].map((code) => problems[code][0]))) {
    const own = [...codes].filter((code) => problems[code][0] === status)
    const code = { type: 'string', enum: own }
    const isOAuth = route.config?.errors === 'oauth'
    const examples = own.map((name) => {
      const problem = new Problem(name, exampleMembers(name, schema) as never)
      return [name, { value: (isOAuth ? oauthDocument : problemDocument)(problem, REQUEST_ID) }]
    })
    responses[status] = {
      description: own.map((name) => `\`${name}\`: ${problems[name][1]}`).join('. '),
      content: isOAuth
        ? { 'application/json': { schema: { $ref: 'OAuthError#' }, examples: Object.fromEntries(examples) } }
        : {
            'application/problem+json': {
              schema: {
                allOf: [{ $ref: 'Problem#' }, { type: 'object', properties: { code }, required: ['code'] }],
              },
              examples: Object.fromEntries(examples),
            },
            // What a person's browser gets instead.
            ...(isPage ? Page.content : {}),
          },
    }
  }
  return responses
}
