import type { FactorMethod } from '../../core/reasons/reasons.ts'
import { formTargetsOf, type OpenInteraction, SIGN_IN, withTicket } from '../../http/interactions.ts'
import {
  alert,
  button,
  field,
  form,
  furtherLink,
  type PageContent,
  type PageWriter,
} from '../../http/page.ts'
import { PASSKEY_SCRIPT } from './passkey-script.ts'
import { passkeyOffer, SECOND_STEP } from './sign-in-page.ts'

export interface SecondStepPage {
  interaction: OpenInteraction
  /** From the first step. */
  mfaToken: string
  /** Of the account. */
  methods: readonly FactorMethod[]
  /** What was wrong with the last attempt, as HTML, and with which field. */
  fault?: { text: string; field?: 'code' | 'recovery_code' | undefined } | undefined
}

/** The page that asks for a second factor. */
export function secondStepPage(
  writer: PageWriter,
  { interaction, mfaToken, methods, fault }: SecondStepPage,
): PageContent {
  const { say, path } = writer
  const { ticket } = interaction
  const has = (method: FactorMethod) => methods.includes(method)
  const sent = { action: path(SECOND_STEP), hidden: { ticket, mfa_token: mfaToken } }
  // The only factor beside the codes comes first, as a button of its own.
  const isAlone = has('passkey') && !has('totp')
  const app = form({
    ...sent,
    fields: field({
      name: 'code',
      label: say('second_step.code'),
      autocomplete: 'one-time-code',
      isInvalid: fault?.field === 'code',
      more: 'class="code" inputmode="numeric" maxlength="32" required autofocus',
    }),
    buttons: button(say('second_step.button')),
  })
  const passkey = passkeyOffer(writer, {
    ...sent,
    label: say('second_step.passkey'),
    fault: say('second_step.passkey_failed'),
    isAlone,
  })
  const recovery = form({
    ...sent,
    fields: `<p class="soft">${say('second_step.recovery_text')}</p>${field({
      name: 'recovery_code',
      label: say('second_step.recovery_code'),
      autocomplete: 'off',
      isInvalid: fault?.field === 'recovery_code',
      more: 'maxlength="64" autocapitalize="none" spellcheck="false" required',
    })}`,
    buttons: button(say('second_step.button'), { isSecondary: true }),
  })
  const isOpen = fault?.field === 'recovery_code' ? ' open' : ''
  return {
    title: say('second_step.title'),
    body: `<p>${say(has('totp') ? 'second_step.text' : 'second_step.passkey_text')}</p>${alert(fault?.text ?? '')}
${has('totp') ? app : ''}${has('passkey') ? passkey : ''}
${isAlone ? `<noscript><p class="alert">${say('second_step.no_script')}</p></noscript>` : ''}
${has('recovery_code') ? `<details${isOpen}><summary>${say('second_step.recovery')}</summary>${recovery}</details>` : ''}
${furtherLink('', say('sign_in.other_account'), path(withTicket(SIGN_IN, ticket)))}`,
    ...(has('passkey') ? { script: PASSKEY_SCRIPT } : {}),
    formTargets: formTargetsOf(interaction),
  }
}
