import { describeCircumstances } from './facts.ts'
import type { Letter } from './layout.ts'
import type { FactorChange, Factors, MailTemplate, Templates } from './mail-data.ts'

/** What each mail says; `brand` is the name its reader knows. */
export const letters: { [T in MailTemplate]: (data: Templates[T], brand: string) => Letter } = {
  verify_email: ({ link, minutes, resetLink }, brand) => ({
    subject: `Confirm your e-mail address for ${brand}`,
    heading: 'Confirm your e-mail address',
    paragraphs: [`An account at ${brand} was created with this e-mail address. If that was you, confirm it:`],
    action: { label: 'Confirm my address', link },
    notes: [
      'You did not create an account? Then ignore this message and do not press the button: ' +
        'somebody else chose that account’s password, and confirming would hand them an account in your name.',
      ...(resetLink
        ? [
            'This address was registered more than once, and only the password of the last time counts. If that may ' +
              `not have been you, do not press the button: choose a password of your own at ${resetLink}`,
          ]
        : []),
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
    paragraphs: [`Somebody asked to reset the password of your account at ${brand}.`],
    facts: describeCircumstances({ ip }),
    request: 'If that was you, go on here:',
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
      ...remaining(data.factors),
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

  account_locked: ({ link, resetLink, minutes, everywhere, passwordKnown, ...circumstances }, brand) => ({
    subject: `Too many failed sign-ins to your ${brand} account`,
    heading: 'Too many failed sign-ins',
    paragraphs: [
      everywhere
        ? `There were so many failed sign-ins to your account at ${brand} in a row that only devices which ` +
          'signed in before can still do so.'
        : `There were so many failed sign-ins to your account at ${brand} from one place that none more are ` +
          'accepted from there for a few minutes.',
      'Where you are signed in already you stay signed in.',
    ],
    facts: describeCircumstances(circumstances),
    request: 'If it was you, unlock your account:',
    action: { label: 'Unlock my account', link },
    notes: [
      passwordKnown
        ? 'If it was not you, somebody knows your password, and only your second factor kept them out: ' +
          `choose a new password now: ${resetLink}`
        : 'If it was not you, there is nothing to do: nobody has got into your account. ' +
          `No longer sure of your password? Choose a new one: ${resetLink}`,
      `The link works once, for ${duration(minutes)}.`,
    ],
  }),

  new_device: (data, brand) => ({
    subject: `New sign-in to your ${brand} account`,
    heading: 'New sign-in to your account',
    paragraphs: [`A device that has not done so before signed in to your account at ${brand}.`],
    facts: describeCircumstances(data),
    notes: [
      'If this was not you, reset your password at once: it signs that device out. Then look through the list of ' +
        'your sessions, passkeys and other factors.',
    ],
  }),

  confirm_email_change: ({ link, minutes, oldEmail }, brand) => ({
    subject: `Confirm your new e-mail address for ${brand}`,
    heading: 'Confirm your new e-mail address',
    paragraphs: [
      `The account at ${brand} that belongs to ${oldEmail} is to move to this address. If that is your account, confirm it:`,
    ],
    action: { label: 'Confirm the new address', link },
    notes: [
      'You do not know that account? Then ignore this message and do not press the button.',
      `The link works once, for ${duration(minutes)}.`,
    ],
  }),

  email_change_taken: ({ oldEmail }, brand) => ({
    subject: `This address has an account at ${brand} already`,
    heading: 'This address has an account already',
    paragraphs: [
      `Somebody, probably you, asked to move the account at ${brand} that belongs to ${oldEmail} to this address. ` +
        'It has an account of its own, so nothing was changed.',
    ],
    notes: ['If that was not you, there is nothing to do. Nobody has got into your account.'],
  }),

  email_change_requested: ({ newEmail, ...circumstances }, brand) => ({
    subject: `Your ${brand} account is to get another e-mail address`,
    heading: 'Your account is to get another e-mail address',
    paragraphs: [
      `Somebody who knows your password asked to move your account at ${brand} to ${newEmail}. ` +
        'It moves once the new address is confirmed.',
    ],
    facts: describeCircumstances(circumstances),
    notes: ['If this was not you, reset your password at once: that also voids the request.'],
  }),

  email_changed: ({ newEmail, ...circumstances }, brand) => ({
    subject: `The e-mail address of your ${brand} account was changed`,
    heading: 'Your e-mail address was changed',
    paragraphs: [
      `Your account at ${brand} now belongs to ${newEmail}. This address is of no more use for it.`,
    ],
    facts: describeCircumstances(circumstances),
    notes: ['If this was not you, please tell our support at once.'],
  }),

  factor_changed: ({ change, ...circumstances }, brand) => ({
    subject: `${FACTOR_CHANGES[change]} (${brand})`,
    heading: FACTOR_CHANGES[change],
    paragraphs: [`This happened to your account at ${brand}.`],
    facts: describeCircumstances(circumstances),
    notes: [
      'If this was not you, reset your password at once, sign in, and look through your sessions, passkeys and other factors.',
    ],
  }),

  reset_required: ({ link, minutes }, brand) => ({
    subject: `Choose a new password for ${brand}`,
    heading: 'Choose a new password',
    paragraphs: [
      `An administrator of ${brand} asks you to choose a new password. Until you do, nobody can sign in to your account.`,
    ],
    action: { label: 'Choose a new password', link },
    notes: [
      `The link works once, for ${duration(minutes)}; afterwards ask for another one where you sign in.`,
    ],
  }),
}

const FACTOR_CHANGES: Record<FactorChange, string> = {
  totp_enabled: 'An authenticator app was set up',
  totp_disabled: 'Your authenticator app was turned off',
  passkey_added: 'A passkey was added to your account',
  passkey_removed: 'A passkey was removed from your account',
  recovery_codes_created: 'You have new recovery codes',
  recovery_code_used: 'A recovery code of your account was used',
}

/** Whoever got in may have left something that no new password removes. */
function remaining(factors: Factors | undefined): string[] {
  const { totp = false, passkeys = 0 } = factors ?? {}
  const kept = [
    ...(totp ? ['an authenticator app'] : []),
    ...(passkeys > 0 ? [passkeys === 1 ? 'a passkey' : `${passkeys} passkeys`] : []),
  ]
  if (kept.length === 0) return []
  return [
    `Still set up for this account: ${kept.join(' and ')}. Sign in and remove what you do not recognise.`,
  ]
}

/** 90 → `90 minutes`, 1440 → `24 hours` */
function duration(minutes: number): string {
  const [count, unit] = minutes >= 120 && minutes % 60 === 0 ? [minutes / 60, 'hour'] : [minutes, 'minute']
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
