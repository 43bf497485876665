import type { RequestContext } from '../../../core/events/events.ts'
import type { OwnSession } from '../own-session.ts'
import { type AuthorizeUses, consent, type NextStep } from './authorize.ts'
import { AuthorizationRefusal, type AuthorizationRequest } from './request.ts'
import { readRequestFor } from './unregistered.ts'

/** The question of a page, as its ticket holds it. */
export interface Question {
  query: string
  sessionId: string
}

/**
 * What follows from a user's answer; null if somebody else has signed in since, or nobody is signed in any more: then the
 * request begins again. @param session that of the browser.
 * @throws {UntrustedRequest}, {AuthorizationRefusal}: also when the user has refused; `unavailable`.
 */
export async function answerConsent(
  uses: AuthorizeUses,
  question: Question,
  decision: 'allow' | 'deny',
  session: OwnSession | null,
  context: RequestContext,
): Promise<{ wanted: AuthorizationRequest; next: NextStep } | null> {
  if (session?.claims.sid !== question.sessionId) return null
  const wanted = await readRequestFor(uses, question.query, session, context)
  if (decision === 'deny') {
    const { sub: userId, sid: sessionId } = session.claims
    const event = { type: 'grant', outcome: 'failure', reason: 'access_denied' } as const
    uses.events.recordSoon({ ...event, userId, sessionId, clientId: wanted.client.id }, context)
    throw new AuthorizationRefusal('access_denied', 'The user has refused.', wanted)
  }
  return { wanted, next: await consent(uses, wanted, session, context) }
}
