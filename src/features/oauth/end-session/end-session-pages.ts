import type { Client } from '../../../core/clients/clients.ts'
import type { User } from '../../../core/users/users.ts'
import { clientNameOn, formTargetsOf } from '../../../http/interactions.ts'
import { button, form, type PageContent, type PageWriter, signInButton } from '../../../http/page.ts'
import { account } from '../authorize/consent-page.ts'

export const CONFIRM = '/oauth/end-session/confirm'

export interface AskPage {
  client: Client | null
  user: User | null
  /** Sealed: which session, and where the browser goes in the end. */
  ticket: string
  target: string | null
}

/** Asks whether to sign out. */
export function askPage(writer: PageWriter, { client, user, ticket, target }: AskPage): PageContent {
  const { say, path } = writer
  const why = client
    ? say('end_session.client', { client: clientNameOn(writer, { clientName: client.name }) })
    : say('end_session.text')
  const buttons = `${button(say('end_session.button'), { name: 'decision', value: 'end' })}
${button(say('end_session.stay'), { name: 'decision', value: 'stay', isSecondary: true })}`
  return {
    title: say('end_session.title'),
    body: `<p>${why}</p>${user ? account(writer, user) : ''}${form({ action: path(CONFIRM), hidden: { ticket }, buttons })}`,
    ...(target ? { formTargets: formTargetsOf({ query: '', redirectUri: target }) } : {}),
  }
}

/** The end, unless the browser goes back to the client. */
export const endedPage = (writer: PageWriter): PageContent => ({
  title: writer.say('end_session.done_title'),
  body: `<p>${writer.say('end_session.done_text')}</p>${signInButton(writer)}`,
})

export const stayedPage = ({ say }: PageWriter): PageContent => ({
  title: say('end_session.stayed_title'),
  body: `<p>${say('end_session.stayed_text')}</p>`,
})
