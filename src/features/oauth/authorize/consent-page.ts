import type { User } from '../../../core/users/users.ts'
import { clientNameOn, formTargetsOf, SIGN_IN, withTicket } from '../../../http/interactions.ts'
import { button, form, furtherLink, type PageContent, type PageWriter } from '../../../http/page.ts'
import type { PlainText } from '../../../http/page-texts.ts'
import { escapeHtml } from '../../../platform/html.ts'
import { DECIDE } from './paths.ts'
import { isAppScheme, isLoopback, leadsElsewhere } from './redirect-kind.ts'
import type { AuthorizationRequest, UntrustedRequest } from './request.ts'

export interface ConsentPage {
  request: AuthorizationRequest
  user: User
  /** Sealed: what is asked, and in which session. */
  consentTicket: string
  /** To sign in to another account. */
  interactionTicket: string
  query: string
}

const SCOPE_TEXTS: Readonly<Record<string, PlainText>> = {
  openid: 'consent.openid',
  email: 'consent.email',
  profile: 'consent.profile',
  offline_access: 'consent.offline_access',
}

/** Asks a user what a client may do. */
export function consentPage(writer: PageWriter, page: ConsentPage): PageContent {
  const { say, path } = writer
  const { request, user, consentTicket, interactionTicket, query } = page
  const { client, scopes, resource } = request
  const name = clientNameOn(writer, { clientName: client.name })
  return {
    title: say('consent.title', { client: name }),
    body: `${site(client.uri)}${account(writer, user)}
<p>${say('consent.may', { client: name })}</p>
${permissions(writer, scopes, resource?.identifier ?? '')}
${client.isRegistered ? '' : `<p class="notice">${say('consent.unregistered')}</p>`}
${destination(writer, request)}
${form({ action: path(DECIDE), hidden: { ticket: consentTicket }, buttons: answers(writer) })}
${furtherLink(say('consent.not_you'), say('sign_in.other_account'), path(withTicket(SIGN_IN, interactionTicket)))}`,
    formTargets: formTargetsOf({ query }),
  }
}

/** The buttons of a question. */
export const answers = ({ say }: PageWriter): string =>
  `${button(say('consent.allow'), { name: 'decision', value: 'allow' })}
${button(say('consent.deny'), { name: 'decision', value: 'deny', isSecondary: true })}`

/** What is asked for; `resource` is empty for OpenID Connect alone. */
export function permissions({ say }: PageWriter, scopes: readonly string[], resource: string): string {
  const items = scopes.map((scope) => {
    const text = SCOPE_TEXTS[scope]
    return text
      ? `<li>${say(text)}</li>`
      : `<li>${say('consent.scope')} <code>${escapeHtml(scope)}</code></li>`
  })
  const target = resource
    ? `<p class="soft">${say('consent.resource')} <code>${escapeHtml(resource)}</code></p>`
    : ''
  return `<ul class="scopes">${items.join('\n')}</ul>${target}`
}

/** Whose account it is about. */
export const account = ({ say }: PageWriter, { email }: Pick<User, 'email'>): string =>
  `<p><span class="soft">${say('consent.account')}</span><br><b>${escapeHtml(email)}</b></p>`

/** Where the client says it is from. */
export const site = (uri: string | null) =>
  uri ? `<p class="soft">${escapeHtml(new URL(uri).host)}</p>` : ''

/** Where the browser goes, and what is unusual about it. */
function destination(writer: PageWriter, { client, redirectUri }: AuthorizationRequest): string {
  const { say } = writer
  if (isLoopback(redirectUri)) {
    const name = clientNameOn(writer, { clientName: client.name })
    return `<p class="notice">${say('consent.loopback', { client: name })}</p>`
  }
  if (isAppScheme(redirectUri)) return `<p class="notice">${say('consent.app')}</p>`
  const { host } = new URL(redirectUri)
  return leadsElsewhere(client, redirectUri)
    ? `<p class="notice">${say('consent.other_site', { host })}</p>`
    : `<p class="soft">${say('consent.then', { host })}</p>`
}

/** The page of a request whose sender is not known: it says whose fault it is. */
export function untrustedPage(
  writer: PageWriter,
  { fault, clientName, document }: Pick<UntrustedRequest, 'fault' | 'clientName' | 'document'>,
): PageContent {
  const { say } = writer
  const who = clientName
    ? say(document ? 'untrusted.document' : 'untrusted.client', {
        client: clientNameOn(writer, { clientName }),
      })
    : say('untrusted.somebody')
  const detail = document?.detail ? ` ${escapeHtml(document.detail)}` : ''
  return {
    title: say('untrusted.title'),
    body: `<p>${who} ${say('untrusted.advice')}</p><p class="soft">${say('untrusted.developers')} <code>${fault}</code>${detail}</p>`,
  }
}
