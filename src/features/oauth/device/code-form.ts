import type { FastifyReply, FastifyRequest } from 'fastify'
import { INTERACTION_TTL } from '../../../core/one-time/one-time.ts'
import type { User } from '../../../core/users/users.ts'
import type { Uses } from '../../../core/uses.ts'
import { SIGN_IN, withTicket } from '../../../http/interactions.ts'
import { type PageContent, pageWriter, sendPage } from '../../../http/page.ts'
import type { SessionCookies } from '../../../http/session-cookies.ts'
import { PATHS } from '../metadata.ts'
import { findOwnSession, type OwnSession } from '../own-session.ts'
import { codePage } from './device-pages.ts'

export type CodeFormUses = Uses<'tickets' | 'clock' | 'sessions' | 'users' | 'db'> & {
  issuer: string
  cookies: SessionCookies
}

/** Where the browser goes on after a sign-in. */
export const CONTINUE = `${PATHS.device}/continue`

/** The form for the code of a device, for people who are signed in, and the way there for others. */
export interface CodeForm {
  /** Null if nobody is signed in in this browser. */
  findSignedIn(reply: FastifyReply): Promise<{ session: OwnSession; user: User } | null>
  /** Leads to the page to sign in on, and from there back to the form. */
  signIn(request: FastifyRequest, reply: FastifyReply, userCode?: string): FastifyReply
  /** Shows the form, after a sign-in if nobody is signed in. */
  showForm(request: FastifyRequest, reply: FastifyReply, userCode: string): Promise<FastifyReply>
  formPage(request: FastifyRequest, user: User, userCode: string, isWrong: boolean): PageContent
}

export function createCodeForm(uses: CodeFormUses): CodeForm {
  const { tickets, users, db, issuer } = uses

  function ticketTo(request: FastifyRequest, userCode: string): string {
    const query = userCode && `user_code=${encodeURIComponent(userCode)}`
    const { name: clientName } = pageWriter(request).brand
    const redirectUri = issuer + PATHS.device
    const interaction = { path: CONTINUE, query, clientName, loginHint: null, redirectUri }
    return tickets.issue('interaction', interaction, INTERACTION_TTL)
  }

  const form: CodeForm = {
    async findSignedIn(reply) {
      const session = await findOwnSession(uses, reply)
      const user = session && (await users.find(db, session.claims.sub))
      return session && user && !user.disabledAt ? { session, user } : null
    },
    signIn(request, reply, userCode = '') {
      const page = withTicket(SIGN_IN, ticketTo(request, userCode))
      return reply.redirect(pageWriter(request).target(page), 303)
    },
    async showForm(request, reply, userCode) {
      const signedIn = await form.findSignedIn(reply)
      if (!signedIn) return form.signIn(request, reply, userCode)
      return sendPage(reply, 200, form.formPage(request, signedIn.user, userCode, false))
    },
    formPage(request, user, userCode, isWrong) {
      const interactionTicket = ticketTo(request, isWrong ? '' : userCode)
      return codePage(pageWriter(request), { user, userCode, interactionTicket, isWrong })
    },
  }
  return form
}
