import { clientNameOn, type OpenInteraction, SIGN_IN, SIGN_UP, withTicket } from '../../http/interactions.ts'
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
import { newPasswordField } from '../../http/password-field.ts'

export interface SignUpPage {
  interaction: OpenInteraction
  /** Any text, as the name. */
  email: string
  name: string
  /** Of a password, in characters. */
  minLength: number
  /** What was wrong with the last attempt, and with which field. */
  fault?: SignUpFault
}

export interface SignUpFault {
  field?: 'email' | 'name' | 'password'
  /** As HTML. */
  text: string
}

/** The page where people make an account to continue to a client. */
export function signUpPage(writer: PageWriter, page: SignUpPage): PageContent {
  const { say, path } = writer
  const { interaction, email, name, minLength, fault } = page
  const { ticket } = interaction
  const fields = `${field({
    name: 'email',
    label: say('sign_up.email'),
    type: 'email',
    value: email,
    autocomplete: 'username',
    isInvalid: fault?.field === 'email',
    more: email ? 'required' : 'required autofocus',
  })}
${field({
  name: 'name',
  label: say('sign_up.name'),
  value: name,
  autocomplete: 'name',
  isInvalid: fault?.field === 'name',
  more: 'maxlength="100"',
})}
${newPasswordField(writer, {
  name: 'password',
  label: say('sign_up.password'),
  minLength,
  fault: fault?.field === 'password' ? fault.text : '',
  isNewAccount: true,
})}`
  return {
    title: say('sign_up.title'),
    body: `<p>${say('sign_up.text', { client: clientNameOn(writer, interaction) })}</p>
${fault && fault.field !== 'password' ? alert(fault.text) : ''}
${form({ action: path(SIGN_UP), hidden: { ticket }, fields, buttons: button(say('sign_up.button')) })}
${furtherLink(say('sign_up.have_account'), say('sign_up.sign_in'), path(withTicket(SIGN_IN, ticket)))}`,
  }
}

/** The page after it, the same for every address. */
export function mailSentPage(writer: PageWriter, interaction: OpenInteraction, email: string): PageContent {
  const { say, path } = writer
  const client = clientNameOn(writer, interaction)
  return {
    title: say('sign_up.done_title'),
    body: `<p>${say('sign_up.done_text', { email, client })}</p>
<p>${say('forgot_password.no_mail')}</p>
${sideLink(say('sign_up.again'), path(withTicket(SIGN_UP, interaction.ticket)))}`,
  }
}
