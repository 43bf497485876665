import { isIP } from 'node:net'
import type { Decision } from '../../../core/grants/grants.ts'
import { recognizeProgram } from '../../../core/mail/mail.ts'
import type { User } from '../../../core/users/users.ts'
import { clientNameOn, SIGN_IN, withTicket } from '../../../http/interactions.ts'
import {
  alert,
  button,
  field,
  form,
  furtherLink,
  linkButton,
  type PageContent,
  type PageWriter,
} from '../../../http/page.ts'
import { escapeHtml } from '../../../platform/html.ts'
import { account, answers, permissions, site } from '../authorize/consent-page.ts'
import { PATHS } from '../metadata.ts'
import type { ClaimedDevice } from './answer-device.ts'

export const DECIDE = `${PATHS.device}/decide`

export interface CodePage {
  user: Pick<User, 'email'>
  /** Any text. */
  userCode: string
  /** To sign in to another account. */
  interactionTicket: string
  isWrong?: boolean
}

/** Asks for the code that a device shows. It is never taken as read from a link (RFC 8628 §3.3.1). */
export function codePage(
  writer: PageWriter,
  { user, userCode, interactionTicket, isWrong = false }: CodePage,
): PageContent {
  const { say, path } = writer
  const code = field({
    name: 'user_code',
    label: say('device.code'),
    value: userCode,
    autocomplete: 'off',
    isInvalid: isWrong,
    more: `class="code" maxlength="${LONGEST_CODE}" autocapitalize="characters" spellcheck="false" required${
      userCode ? '' : ' autofocus placeholder="BCDF-GHJK"'
    }`,
  })
  return {
    title: say('device.title'),
    body: `${account(writer, user)}
<p>${say(userCode && !isWrong ? 'device.compare' : 'device.text')}</p>${alert(isWrong ? say('device.wrong') : '')}
${form({ action: path(PATHS.device), fields: code, buttons: button(say('device.button')) })}
${furtherLink(say('consent.not_you'), say('sign_in.other_account'), path(withTicket(SIGN_IN, interactionTicket)))}`,
  }
}

export const LONGEST_CODE = 64

export interface DeviceConsentPage {
  claimed: ClaimedDevice
  user: Pick<User, 'email'>
  /** Sealed: what is asked, and in which session. */
  consentTicket: string
  /** As `BCDF-GHJK`. */
  userCode: string
  /** Whether the browser is in the network of the device. */
  isSameNetwork: boolean
  /** Milliseconds since the epoch. */
  now: number
}

/** Asks a user what a device may do. It says where the request was made, and warns of those who pass codes on. */
export function deviceConsentPage(writer: PageWriter, page: DeviceConsentPage): PageContent {
  const { say, lang, path } = writer
  const { claimed, user, consentTicket, userCode, isSameNetwork, now } = page
  const { client, device } = claimed
  const name = clientNameOn(writer, { clientName: client.name })
  const facts: [label: string, value: string][] = [
    [say('device.fact_code'), escapeHtml(userCode)],
    [say('device.fact_when'), escapeHtml(timeSince(device.createdAt.getTime(), now, lang))],
    [say('device.fact_address'), isIP(device.ip) ? device.ip : say('device.unknown')],
    [say('device.fact_program'), escapeHtml(programOf(device.userAgent) ?? '') || say('device.unknown')],
  ]
  const items = facts.map(([label, value]) => `<dt>${label}</dt><dd><bdi>${value}</bdi></dd>`)
  return {
    title: say('consent.title', { client: name }),
    body: `${site(client.uri)}${account(writer, user)}
<p class="notice"><b>${say('device.only_yours')}</b> ${say('device.beware')}</p>
<dl class="facts">${items.join('\n')}</dl>
${isSameNetwork ? '' : `<p class="soft">${say('device.elsewhere')}</p>`}
<p>${say('consent.may', { client: name })}</p>
${permissions(writer, device.scope.split(' '), device.resource)}
${form({ action: path(DECIDE), hidden: { ticket: consentTicket }, buttons: answers(writer) })}`,
  }
}

/** The page after the answer. */
export const decidedPage = ({ say }: PageWriter, decision: Decision): PageContent => ({
  title: say(`device.${decision}_title`),
  body: `<p>${say(`device.${decision}_text`)}</p>`,
})

/** The page of a code that cannot be answered: `used` by somebody, or `expired`. */
export const lostCodePage = ({ say, path }: PageWriter, what: 'used' | 'expired'): PageContent => ({
  title: say(`device.${what}_title`),
  body: `<p>${say(`device.${what}_text`)}</p>${linkButton(say('device.another'), path(PATHS.device))}`,
})

/** `3 minutes ago` */
function timeSince(then: number, now: number, lang: string): string {
  const seconds = Math.max(1, Math.round((now - then) / 1000))
  const format = new Intl.RelativeTimeFormat(lang)
  return seconds < 60 ? format.format(-seconds, 'second') : format.format(-Math.floor(seconds / 60), 'minute')
}

/** The program of a device: one that is well known, or else its name without what is told about it. */
function programOf(userAgent: string | null): string | undefined {
  if (!userAgent) return undefined
  const { program = /^(?!Mozilla)[\w.-]{1,40}(?=\/|$)/.exec(userAgent)?.[0], system } =
    recognizeProgram(userAgent)
  return [program, system].filter(Boolean).join(', ') || undefined
}
