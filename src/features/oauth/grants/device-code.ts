import { DEVICE_CODE } from '../../../core/clients/clients.ts'
import { Problem } from '../../../core/problems/problems.ts'
import { contextOf } from '../../../http/request-context.ts'
import { answerForUser } from './answer-for-user.ts'
import type { Grant } from './grant.ts'

/** A device asks whether its user has answered (RFC 8628 §3.4). */
export const deviceCode: Grant = {
  grantType: DEVICE_CODE,
  async handle(uses, client, { device_code: text, resource }, request) {
    if (text === undefined) throw new Problem('invalid_request', { detail: 'device_code is missing.' })
    const { devices } = uses.grants
    const context = contextOf(request)
    const refuse = (detail: string, userId?: string): never => {
      const event = { type: 'client_token', outcome: 'failure', reason: 'invalid_grant' } as const
      uses.events.recordSoon({ ...event, clientId: client.id, userId }, context)
      throw new Problem('invalid_grant', { detail })
    }
    const poll = await devices.poll(text, client.id)
    switch (poll.outcome) {
      case 'foreign':
        return refuse('The device code is not valid, or was used.')
      case 'pending':
        throw new Problem('authorization_pending')
      case 'early':
        throw new Problem('slow_down')
      case 'denied':
        throw new Problem('access_denied')
      case 'expired':
        throw new Problem('expired_token')
    }
    const { allowed } = poll
    if (resource !== undefined && resource !== allowed.resource)
      throw new Problem('invalid_target', { detail: 'The user has allowed another resource.' })
    // The refresh tokens of a client that authenticates are bound to that (RFC 9449 §5).
    const binding = client.authMethod === 'none' ? (request.proven ?? '') : ''
    const issued = await devices.redeem(poll, { binding, home: uses.homeOf(request) }, context)
    if (!issued) return refuse('The device code was used, or the user has signed out since.', allowed.userId)
    request.concerned = { userId: issued.claims.sub, sessionId: issued.claims.sid, clientId: client.id }
    return answerForUser(uses, client, issued, allowed.scope.split(' '), request)
  },
}
