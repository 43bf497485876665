import { describeCircumstances } from './facts.ts'
import { type Brand, type Letter, layoutHtml, layoutText } from './layout.ts'

interface Templates {
  verify_email: { link: string; minutes: number }
  /** `signInHint` is a sentence that says where to sign in. */
  already_registered: { signInHint?: string | undefined; resetLink: string }
  reset_password: { link: string; minutes: number; ip?: string | undefined }
  /** `at` is in milliseconds since the epoch, here and below. */
  password_changed: { at: number; ip?: string | undefined }
  refresh_reuse_detected: { at: number; ip?: string | undefined; userAgent?: string | undefined }
  account_deleted: { at: number }
}

export type MailTemplate = keyof Templates
export type MailData<T extends MailTemplate> = Templates[T]
/** A template with the data it needs. */
export type MailContent = { [T in MailTemplate]: { template: T; data: Templates[T] } }[MailTemplate]

const letters: { [T in MailTemplate]: (data: Templates[T], brand: string) => Letter } = {
  verify_email: ({ link, minutes }, brand) => ({
    subject: `Confirm your e-mail address for ${brand}`,
    heading: 'Confirm your e-mail address',
    paragraphs: [`An account at ${brand} was created with this e-mail address. If that was you, confirm it:`],
    action: { label: 'Confirm my address', link },
    notes: [
      'You did not create an account? Then ignore this message and do not press the button: ' +
        'somebody else chose that account’s password, and confirming would hand them an account in your name.',
      `The link works once, for ${duration(minutes)}.`,
    ],
  }),

  already_registered: ({ signInHint, resetLink }, brand) => ({
    subject: `You already have an account at ${brand}`,
    heading: 'You already have an account',
    paragraphs: [
      `Somebody, probably you, tried to register at ${brand} with this e-mail address. ` +
        'It has an account already, so nothing was changed.',
      ...(signInHint ? [signInHint] : []),
      'If you no longer know your password, choose a new one:',
    ],
    action: { label: 'Choose a new password', link: resetLink },
    notes: ['If that was not you, there is nothing to do. Nobody has got into your account.'],
  }),

  reset_password: ({ link, minutes, ip }, brand) => ({
    subject: `Choose a new password for ${brand}`,
    heading: 'Choose a new password',
    paragraphs: [
      `Somebody asked to reset the password of your account at ${brand}. If that was you, go on here:`,
    ],
    facts: describeCircumstances({ ip }),
    action: { label: 'Choose a new password', link },
    notes: [
      'If you did not ask for this, ignore this message: your password stays as it is.',
      `The link works once, for ${duration(minutes)}.`,
    ],
  }),

  password_changed: (data, brand) => ({
    subject: `Your ${brand} password was changed`,
    heading: 'Your password was changed',
    paragraphs: [
      `The password of your account at ${brand} is a new one. Every other session was signed out.`,
    ],
    facts: describeCircumstances(data),
    notes: [
      `If this was not you, reset your password at once, and make sure nobody else can read your mail.`,
    ],
  }),

  refresh_reuse_detected: (data, brand) => ({
    subject: `We ended a suspicious ${brand} session`,
    heading: 'We ended a suspicious session',
    paragraphs: [
      `A sign-in token of your account at ${brand} was used a second time, after it had been replaced. ` +
        'That happens when a token has been copied, so we signed out the session it belongs to.',
      'Your password was not used. Sign in again to go on.',
    ],
    facts: describeCircumstances(data),
    notes: ['If you do not recognise this, change your password and look through the list of your sessions.'],
  }),

  account_deleted: (data, brand) => ({
    subject: `Your ${brand} account was deleted`,
    heading: 'Your account was deleted',
    paragraphs: [`Your account at ${brand} and its sessions are gone. This is the last message about it.`],
    facts: describeCircumstances(data),
    notes: ['If this was not you, please tell our support.'],
  }),
}

/** The mail in full. Its text part is complete on its own; its HTML part loads nothing. */
export function renderMail<T extends MailTemplate>(
  template: T,
  data: MailData<T>,
  brand: Brand,
): { subject: string; text: string; html: string } {
  const letter = letters[template](data, brand.name)
  return {
    // A line break in a header would start another header.
    subject: letter.subject.replace(/\s+/g, ' ').trim(),
    text: layoutText(letter, brand),
    html: layoutHtml(letter, brand),
  }
}

export const isMailTemplate = (name: string): name is MailTemplate => Object.hasOwn(letters, name)

/** 90 → `90 minutes`, 1440 → `24 hours` */
function duration(minutes: number): string {
  const [count, unit] = minutes >= 120 && minutes % 60 === 0 ? [minutes / 60, 'hour'] : [minutes, 'minute']
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
