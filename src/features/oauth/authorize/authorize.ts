import type { RequestContext } from '../../../core/events/events.ts'
import type { IssuedSession, SessionClaims } from '../../../core/sessions/sessions.ts'
import type { User } from '../../../core/users/users.ts'
import type { Uses } from '../../../core/uses.ts'
import { allowedIn, type OwnSession } from '../own-session.ts'
import { asksAlways, leadsElsewhere } from './redirect-kind.ts'
import { AuthorizationRefusal, type AuthorizationRequest } from './request.ts'

export type AuthorizeUses = Uses<
  'db' | 'transact' | 'clock' | 'sessions' | 'users' | 'grants' | 'events' | 'clients'
>

/** What has to happen next. */
export type NextStep =
  | { step: 'sign_in' }
  | { step: 'ask'; session: OwnSession; user: User }
  | { step: 'grant'; code: string }

/**
 * Decides how an authorization request goes on (OpenID Connect Core 1.0 §3.1.2.3): with a sign-in, with a question to the
 * user, or with a code. @param signedIn the session that the user has begun on the page that the request has led to.
 * @throws {AuthorizationRefusal} with `prompt=none`; `unavailable`.
 */
export async function authorize(
  uses: AuthorizeUses,
  request: AuthorizationRequest,
  session: OwnSession | null,
  signedIn: string | undefined,
  context: RequestContext,
): Promise<NextStep> {
  const { db, clock, users, grants } = uses
  const isSilent = request.prompts.has('none')
  if (!session || needsSignIn(request, session.claims, signedIn, clock.now())) {
    if (isSilent) throw refusal(request, 'login_required', 'The user has to sign in.')
    return { step: 'sign_in' }
  }
  const { sub: userId } = session.claims
  const [user, allowed] = await Promise.all([
    users.find(db, userId),
    grants.scopesOf(db, granted(request, userId)),
  ])
  if (!user || user.disabledAt) return { step: 'sign_in' }
  const { client, scopes, prompts, redirectUri } = request
  const isRemembered = allowed.length > 0 && scopes.every((scope) => allowed.includes(scope))
  const mustAsk = asksAlways(redirectUri) || leadsElsewhere(client, redirectUri)
  if ((isRemembered || client.isFirstParty) && !prompts.has('consent') && !mustAsk)
    return grantCode(uses, request, session, user, context, isRemembered)
  if (isSilent) throw refusal(request, 'consent_required', 'The user has to be asked.')
  return { step: 'ask', session, user }
}

/** Remembers the user's consent and gives the code. @throws `unavailable`. */
export async function consent(
  uses: AuthorizeUses,
  request: AuthorizationRequest,
  session: OwnSession,
  context: RequestContext,
): Promise<NextStep> {
  const { db, users } = uses
  const user = await users.find(db, session.claims.sub)
  if (!user || user.disabledAt) return { step: 'sign_in' }
  return grantCode(uses, request, session, user, context, false)
}

/** Rotates the user's own session and gives a code. */
async function grantCode(
  uses: AuthorizeUses,
  request: AuthorizationRequest,
  session: OwnSession,
  user: User,
  context: RequestContext,
  isRemembered: boolean,
): Promise<NextStep> {
  const { transact, grants, events } = uses
  const own = await session.rotate()
  if (!own) return { step: 'sign_in' }
  const event = grantEvent(request, own)
  if (isRemembered) events.recordSoon(event, context)
  else
    await transact(async (tx) => {
      await grants.allow(tx, granted(request, user.id), request.scopes)
      await events.record(tx, event, context)
    })
  const { client, redirectUri, namedRedirectUri, resource, scopes, challenge, nonce, key } = request
  const asked = { clientId: client.id, resource: resource?.identifier ?? '', scope: scopes.join(' ') }
  const code = grants.codes.issue({
    ...allowedIn(own, user, asked),
    redirectUri,
    namedRedirectUri,
    challenge,
    nonce,
    key,
  })
  return { step: 'grant', code }
}

// A sign-in that the request has led to counts as recent for as long as it takes to answer the question after it.
const ANSWER_SECONDS = 600

function needsSignIn(
  { prompts, maxAge, wantsSecondFactor }: AuthorizationRequest,
  { sid, auth_time: authTime, amr }: SessionClaims,
  signedIn: string | undefined,
  now: number,
): boolean {
  const age = now / 1000 - authTime
  if (sid === signedIn && age <= ANSWER_SECONDS) return false
  if (maxAge !== null && age > maxAge) return true
  if (prompts.has('login') || prompts.has('select_account') || prompts.has('create')) return true
  return wantsSecondFactor && !amr.includes('mfa')
}

const granted = ({ client, resource }: AuthorizationRequest, userId: string) => ({
  userId,
  clientId: client.id,
  resource: resource?.identifier ?? '',
})

const grantEvent = ({ client }: AuthorizationRequest, { claims }: IssuedSession) =>
  ({
    type: 'grant',
    outcome: 'success',
    userId: claims.sub,
    sessionId: claims.sid,
    clientId: client.id,
  }) as const

const refusal = (request: AuthorizationRequest, error: string, description: string) =>
  new AuthorizationRefusal(error, description, request)
