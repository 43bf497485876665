import type { RequestContext } from '../../../core/events/events.ts'
import type { OwnSession } from '../own-session.ts'
import { type AuthorizeUses, consent, type NextStep } from './authorize.ts'
import { AuthorizationRefusal, type AuthorizationRequest, readRequest } from './request.ts'

/** The question of a page, as its ticket holds it. */
export interface Question {
  query: string
  askedAt: number
  sessionId: string
}

export interface Answered {
  wanted: AuthorizationRequest
  /** Null if somebody else has signed in since, or nobody is signed in any more: the request begins again. */
  next: NextStep | null
}

/**
 * What follows from a user's answer. @param session that of the browser.
 * @throws {UntrustedRequest}, {AuthorizationRefusal}: also when the user has refused; `unavailable`.
 */
export async function answerConsent(
  uses: AuthorizeUses,
  question: Question,
  decision: 'allow' | 'deny',
  session: OwnSession | null,
  context: RequestContext,
): Promise<Answered> {
  const wanted = await readRequest(uses, question.query)
  if (session?.claims.sid !== question.sessionId) return { wanted, next: null }
  if (decision === 'deny') {
    const { sub: userId, sid: sessionId } = session.claims
    const event = { type: 'grant', outcome: 'failure', reason: 'access_denied' } as const
    uses.events.recordSoon({ ...event, userId, sessionId, clientId: wanted.client.id }, context)
    throw new AuthorizationRefusal('access_denied', 'The user has refused.', wanted)
  }
  return { wanted, next: await consent(uses, wanted, session, context) }
}
