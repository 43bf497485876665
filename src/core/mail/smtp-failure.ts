import { MailRefused, MailRejected, ProviderUnavailable } from './mailer.ts'

/** An error of nodemailer. */
export type SmtpFailure = Error & {
  code?: string
  /** The command that failed; `CONN` for the connection, `API` when nothing was sent. */
  command?: string
  responseCode?: number
  /** The server's reply, which may quote the address: it is read and never passed on. */
  response?: string
}

/** The enhanced status codes (RFC 3463, RFC 7505) that say: this address gets no mail from any sender. */
const NO_SUCH_MAILBOX = new Set(['5.1.1', '5.1.2', '5.1.3', '5.1.6', '5.1.10', '5.2.1'])
/** The commands that are about one mail; a failure of any other concerns all mail. */
const ABOUT_ONE_MAIL = new Set(['MAIL FROM', 'RCPT TO', 'DATA', 'API'])

/** Decides whose fault a failure is. Its codes are kept; the texts of the server are not. */
export function readSmtpFailure({
  code,
  command = '',
  responseCode = 0,
  response,
  message,
}: SmtpFailure): Error {
  const status = enhancedStatus(response)
  const parts = [code ?? 'unknown error', command && `at ${command}`, responseCode, status]
  const what = `smtp delivery failed: ${parts.filter(Boolean).join(' ')}`

  const isAboutOne = ABOUT_ONE_MAIL.has(command) && code !== 'EAUTH'
  const isRefusal = responseCode >= 500
  const isRecipientAsked = command === 'RCPT TO' || command === 'DATA'
  if (isRecipientAsked && isRefusal && NO_SUCH_MAILBOX.has(status)) return new MailRejected(what)
  if (command === 'API' && code === 'EENVELOPE') {
    // The address cannot be written as a recipient, or as a sender.
    return message.startsWith('Invalid sender') ? new MailRefused(what) : new MailRejected(what)
  }
  const isMisconfigured = isRefusal || code === 'ETLS' || (code === 'EAUTH' && responseCode === 0)
  if (!isAboutOne || isSystemWide(responseCode, status))
    return new ProviderUnavailable(what, { isMisconfigured })
  return isRefusal ? new MailRefused(what) : new Error(what)
}

/** 421: the service closes; 454: TLS or authentication is not available; X.3.x and 4.4.5: the whole system cannot. */
const isSystemWide = (responseCode: number, status: string) =>
  responseCode === 421 || responseCode === 454 || /^4\.(?:3\.\d+|4\.5)$/.test(status)

/** `5.1.1` in `550 5.1.1 no such user`, `550-5.1.1 …` or `550 #5.1.1 …`; empty without one. */
const enhancedStatus = (response = '') =>
  /^\d{3}[ -][#([]?([245]\.\d{1,3}\.\d{1,3})(?!\.?\d|@)/.exec(response)?.[1] ?? ''
