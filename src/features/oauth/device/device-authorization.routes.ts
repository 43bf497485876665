import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { type Client, DEVICE_CODE } from '../../../core/clients/clients.ts'
import { isProblem, Problem } from '../../../core/problems/problems.ts'
import type { Uses } from '../../../core/uses.ts'
import { contextOf } from '../../../http/request-context.ts'
import type { AuthenticateClientUses } from '../authenticate-client.ts'
import { authenticated, CLIENT, config, consumes, open, Parameter, refusals, security } from '../endpoint.ts'
import type { Parameters } from '../form.ts'
import { PATHS } from '../metadata.ts'
import { chooseUserScope } from '../scopes.ts'

export type DeviceAuthorizationUses = AuthenticateClientUses & Uses<'grants' | 'events'> & { issuer: string }

const DeviceAuthorizationRequest = Type.Object(
  { scope: Parameter, resource: Parameter, ...CLIENT },
  { ...open, examples: [{ client_id: 'client_…', scope: 'orders:read offline_access' }] },
)
const DeviceAuthorization = Type.Object({
  device_code: Type.String({ description: 'For the device alone' }),
  user_code: Type.String({ description: 'For the user to type; case and dashes do not matter' }),
  verification_uri: Type.String(),
  verification_uri_complete: Type.String({ description: 'With the code, for a QR code' }),
  expires_in: Type.Integer({ description: 'Seconds that both codes work' }),
  interval: Type.Integer({ description: 'Seconds to wait between two polls of the token endpoint' }),
})

const RETRY_S = 60

/** The device authorization endpoint (RFC 8628 §3.1). */
export async function deviceAuthorizationRoutes(
  app: FastifyInstance,
  uses: DeviceAuthorizationUses,
): Promise<void> {
  const { grants, events, issuer } = uses
  app.post(
    PATHS.deviceAuthorization,
    {
      config,
      preHandler: authenticated(uses, 'token'),
      schema: {
        tags: ['third parties'],
        operationId: 'authorizeDevice',
        summary: 'Let the user of a device answer elsewhere (RFC 8628)',
        description:
          'The device shows `user_code` and `verification_uri`, and polls the token endpoint until its user has ' +
          'answered there. A client can have 100 requests that wait for each network address.',
        consumes,
        security,
        body: DeviceAuthorizationRequest,
        response: { 200: DeviceAuthorization },
        problems: [...refusals, 'unauthorized_client', 'invalid_scope', 'invalid_target'],
      },
    },
    async (request, reply) => {
      const client = request.client as Client
      const { scope, resource: wanted } = request.body as Parameters
      const context = contextOf(request)
      const refused = (reason: 'unauthorized_client' | 'invalid_scope' | 'invalid_target') => {
        const event = { type: 'client_token', outcome: 'failure', reason } as const
        events.recordSoon({ ...event, clientId: client.id }, context)
      }
      if (!client.grantTypes.includes(DEVICE_CODE)) {
        refused('unauthorized_client')
        throw new Problem('unauthorized_client')
      }
      const asked = choose()
      const codes = await grants.devices.begin(asked, context)
      if (!codes) throw new Problem('too_many_attempts', { reason: 'rate_limited', retryAfter: RETRY_S })
      const page = issuer + PATHS.device
      return reply.header('pragma', 'no-cache').send({
        device_code: codes.deviceCode,
        user_code: codes.userCode,
        verification_uri: page,
        verification_uri_complete: `${page}?user_code=${codes.userCode}`,
        expires_in: codes.expiresIn,
        interval: codes.interval,
      })

      function choose() {
        try {
          const { resource, scopes } = chooseUserScope(client, wanted, scope)
          const identifier = resource?.identifier ?? ''
          return { clientId: client.id, resource: identifier, scope: scopes.join(' ') }
        } catch (error) {
          for (const reason of ['invalid_scope', 'invalid_target'] as const)
            if (isProblem(error, reason)) refused(reason)
          throw error
        }
      }
    },
  )
}
