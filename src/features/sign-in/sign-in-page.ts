import {
  clientNameOn,
  formTargetsOf,
  type OpenInteraction,
  SIGN_IN,
  SIGN_UP,
  withTicket,
} from '../../http/interactions.ts'
import {
  alert,
  button,
  field,
  form,
  furtherLink,
  type PageContent,
  type PageWriter,
  sideLink,
} from '../../http/page.ts'
import { escapeHtml } from '../../platform/html.ts'
import { PASSKEY_SCRIPT } from './passkey-script.ts'

export const SECOND_STEP = `${SIGN_IN}/second-step`
export const PASSKEY = `${SIGN_IN}/passkey`
export const FORGOT_PASSWORD = '/auth/forgot-password'

export interface SignInPage {
  interaction: OpenInteraction
  /** Any text. */
  email: string
  /** What was wrong with the last attempt, as HTML. */
  fault?: string
  /** Whether that is about what was entered. */
  isInvalid?: boolean
  /** The id of a passkey that no account has any more: the browser need not offer it again. */
  unknownPasskey?: string | undefined
}

/** The page where people sign in to continue to a client. */
export function signInPage(writer: PageWriter, page: SignInPage): PageContent {
  const { say, path } = writer
  const { interaction, email, fault = '', isInvalid = false } = page
  const { ticket } = interaction
  const fields = `${field({
    name: 'email',
    label: say('sign_in.email'),
    type: 'email',
    value: email,
    autocomplete: 'username webauthn',
    isInvalid,
    more: email ? 'required' : 'required autofocus',
  })}
${field({
  name: 'password',
  label: say('sign_in.password'),
  type: 'password',
  autocomplete: 'current-password',
  isInvalid,
  more: email ? 'required autofocus' : 'required',
})}
<p class="aside"><a href="${path(withTicket(FORGOT_PASSWORD, ticket))}">${say('sign_in.forgot_password')}</a></p>`
  return {
    title: say('sign_in.title', { client: clientNameOn(writer, interaction) }),
    body: `${alert(fault)}${form({ action: path(SIGN_IN), hidden: { ticket }, fields, buttons: button(say('sign_in.button')) })}
${passkeyOffer(writer, {
  action: path(PASSKEY),
  hidden: { ticket },
  label: say('sign_in.passkey'),
  fault: say('sign_in.passkey_failed'),
  isAlone: false,
  unknown: page.unknownPasskey,
})}
${furtherLink(say('sign_in.no_account'), say('sign_in.sign_up'), path(withTicket(SIGN_UP, ticket)))}`,
    script: PASSKEY_SCRIPT,
    formTargets: formTargetsOf(interaction),
  }
}

interface PasskeyOffer {
  /** All but `hidden` and `unknown` is HTML. */
  action: string
  hidden: Readonly<Record<string, string>>
  label: string
  fault: string
  /** Whether there is nothing else to use. */
  isAlone: boolean
  unknown?: string | undefined
}

/** The button for a passkey, which the script of the page shows. */
export function passkeyOffer({ say }: PageWriter, offer: PasskeyOffer): string {
  const { action, hidden, label, fault, isAlone, unknown } = offer
  const id = unknown ? ` data-unknown="${escapeHtml(unknown)}"` : ''
  return `<div id="passkey"${id} hidden>${isAlone ? '' : `<p class="or">${say('sign_in.or')}</p>`}
<p class="alert" role="alert" hidden>${fault}</p>
${form({ action, hidden: { ...hidden, passkey: '' }, buttons: button(label, { isSecondary: !isAlone }) })}</div>`
}

/** What the account has to do first, which is done elsewhere. */
export function passwordResetRequired({ say, path }: PageWriter, { ticket }: OpenInteraction): PageContent {
  const again = path(withTicket(FORGOT_PASSWORD, ticket))
  return {
    title: say('reset_required.title'),
    body: `<p>${say('reset_required.text')}</p>
<p><a class="button" href="${again}">${say('reset_required.button')}</a></p>
${sideLink(say('sign_in.other_account'), path(withTicket(SIGN_IN, ticket)))}`,
  }
}

/** The address of a registration has to be confirmed first; a mail is on its way. */
export function emailNotVerified(
  writer: PageWriter,
  interaction: OpenInteraction,
  email: string,
): PageContent {
  const { say, path } = writer
  const client = clientNameOn(writer, interaction)
  return {
    title: say('unverified.title'),
    body: `<p>${say('unverified.text', { email, client })}</p><p>${say('forgot_password.no_mail')}</p>
${sideLink(say('sign_in.other_account'), path(withTicket(SIGN_IN, interaction.ticket)))}`,
  }
}
