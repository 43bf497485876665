import { describeCircumstances } from './facts.ts'
import type { Letter } from './layout.ts'
import type { FactorChange, Factors, MailTemplate, Templates } from './mail-data.ts'

/** The text of each mail; `brand` is the service's name as the reader knows it. */
export const letters: { [T in MailTemplate]: (data: Templates[T], brand: string) => Letter } = {
  confirm_registration: ({ registrations, minutes }, brand) => {
    const [only, ...others] = registrations
    return {
      subject: `Confirm your e-mail address for ${brand}`,
      heading: 'Confirm your e-mail address',
      paragraphs: [
        others.length === 0
          ? `Someone registered at ${brand} with this e-mail address. If it was you, confirm the address:`
          : `Someone registered at ${brand} with this e-mail address more than once. Confirm the one that was you, the ` +
            'others then end:',
      ],
      facts: others.length === 0 ? describeCircumstances(only ?? {}) : [],
      choices: registrations.map(({ link, ...circumstances }) => ({
        facts: others.length === 0 ? [] : describeCircumstances(circumstances),
        action: { label: 'Confirm my address', link },
      })),
      notes: [
        'Somebody else may have chosen the password. So the page asks for it, unless you registered in the same browser, ' +
          'or lets you choose your own.',
        'If you did not register, ignore this message: no account is made.',
        `A link works for ${duration(minutes)}.`,
      ],
    }
  },

  verify_email: ({ link, minutes }, brand) => ({
    subject: `Confirm your e-mail address for ${brand}`,
    heading: 'Confirm your e-mail address',
    paragraphs: [
      `Someone registered at ${brand} with this e-mail address. If it was you, confirm the address:`,
    ],
    action: { label: 'Confirm my address', link },
    notes: ['If you did not register, ignore this message: no account is made.', linkExpiry(minutes)],
  }),

  already_registered: ({ signInHint, resetLink }, brand) => ({
    subject: `You already have an account at ${brand}`,
    heading: 'You already have an account',
    paragraphs: [
      `Someone, probably you, tried to register at ${brand} with this e-mail address. ` +
        'It already has an account, so nothing has changed.',
      ...(signInHint ? [signInHint] : []),
      'If you have forgotten your password, choose a new one:',
    ],
    action: { label: 'Choose a new password', link: resetLink },
    notes: ['If this was not you, you need not do anything: nobody has got into your account.'],
  }),

  reset_password: ({ link, minutes, ip, isNew }, brand) => ({
    subject: `Choose a new password for ${brand}`,
    heading: 'Choose a new password',
    paragraphs: [
      isNew
        ? `Someone registered at ${brand} with this e-mail address, and asked for a new password. Choosing one makes ` +
          'the account yours.'
        : `Someone asked to reset the password of your account at ${brand}.`,
    ],
    facts: describeCircumstances({ ip }),
    request: 'If it was you, choose a new password here:',
    action: { label: 'Choose a new password', link },
    notes: [
      isNew
        ? 'If you did not ask for this, ignore this message: no account is made.'
        : 'If you did not ask for this, ignore this message: your password stays the same.',
      linkExpiry(minutes),
    ],
  }),

  password_changed: (data, brand) => ({
    subject: `Your ${brand} password was changed`,
    heading: 'Your password was changed',
    paragraphs: [
      `The password of your account at ${brand} was changed. All other sessions were signed out.`,
      ...remaining(data.factors),
    ],
    facts: describeCircumstances(data),
    notes: [
      'If this was not you, reset your password now, and make sure that nobody else can read your e-mail.',
    ],
  }),

  refresh_reuse_detected: (data, brand) => ({
    subject: `We ended a suspicious ${brand} session`,
    heading: 'We ended a suspicious session',
    paragraphs: [
      `Someone used a sign-in token of your account at ${brand} again after it had been replaced. ` +
        'This happens when a token has been copied, so we signed out its session.',
      'Your password was not used. Sign in again to continue.',
    ],
    facts: describeCircumstances(data),
    notes: ['If you do not recognise this, change your password and check the list of your sessions.'],
  }),

  account_deleted: (data, brand) => ({
    subject: `Your ${brand} account was deleted`,
    heading: 'Your account was deleted',
    paragraphs: [
      `Your account at ${brand} was deleted, and you are signed out everywhere. This is our last message about it.`,
    ],
    facts: describeCircumstances(data),
    notes: ['If this was not you, please contact support.'],
  }),

  account_locked: ({ link, resetLink, minutes, everywhere, passwordKnown, ...circumstances }, brand) => ({
    subject: `Too many failed sign-ins to your ${brand} account`,
    heading: 'Too many failed sign-ins',
    paragraphs: [
      everywhere
        ? `There were so many failed sign-ins to your account at ${brand} in a row that, for now, only devices which ` +
          'signed in before can sign in.'
        : `There were so many failed sign-ins to your account at ${brand} from one place that we accept no more from ` +
          'there for a few minutes.',
      'You stay signed in where you are signed in already.',
    ],
    facts: describeCircumstances(circumstances),
    request: 'If it was you, unlock your account:',
    action: { label: 'Unlock my account', link },
    notes: [
      passwordKnown
        ? 'If it was not you, somebody knows your password, and only your second factor kept them out. ' +
          `Choose a new password now: ${resetLink}`
        : 'If it was not you, you need not do anything: nobody has got into your account. ' +
          `If you have forgotten your password, choose a new one: ${resetLink}`,
      linkExpiry(minutes),
    ],
  }),

  new_device: (data, brand) => ({
    subject: `New sign-in to your ${brand} account`,
    heading: 'New sign-in to your account',
    paragraphs: [`A new device signed in to your account at ${brand}.`],
    facts: describeCircumstances(data),
    notes: [
      'If this was not you, reset your password now: that signs the device out. Then check your sessions, passkeys ' +
        'and other factors.',
    ],
  }),

  confirm_email_change: ({ link, minutes, oldEmail }, brand) => ({
    subject: `Confirm your new e-mail address for ${brand}`,
    heading: 'Confirm your new e-mail address',
    paragraphs: [
      `Someone asked to move the account at ${brand} that belongs to ${oldEmail} to this address. ` +
        'If it is your account, confirm the change:',
    ],
    action: { label: 'Confirm the new address', link },
    notes: [
      'If you do not know that account, ignore this message and do not press the button.',
      linkExpiry(minutes),
    ],
  }),

  email_change_taken: ({ oldEmail }, brand) => ({
    subject: `This address has an account at ${brand} already`,
    heading: 'This address already has an account',
    paragraphs: [
      `Someone, probably you, asked to move the account at ${brand} that belongs to ${oldEmail} to this address. ` +
        'This address has its own account, so nothing has changed.',
    ],
    notes: ['If this was not you, you need not do anything: nobody has got into your account.'],
  }),

  email_change_requested: ({ newEmail, ...circumstances }, brand) => ({
    subject: `Your ${brand} account is to get another e-mail address`,
    heading: 'Your account is to get another e-mail address',
    paragraphs: [
      `Someone who knows your password asked to change the e-mail address of your account at ${brand} to ` +
        `${newEmail}. It changes once the new address is confirmed.`,
    ],
    facts: describeCircumstances(circumstances),
    notes: ['If this was not you, reset your password now: that also cancels the request.'],
  }),

  email_changed: ({ newEmail, ...circumstances }, brand) => ({
    subject: `The e-mail address of your ${brand} account was changed`,
    heading: 'Your e-mail address was changed',
    paragraphs: [
      `The e-mail address of your account at ${brand} is now ${newEmail}. You can no longer sign in with this address.`,
    ],
    facts: describeCircumstances(circumstances),
    notes: ['If this was not you, please contact support now.'],
  }),

  factor_changed: ({ change, ...circumstances }, brand) => ({
    subject: `${FACTOR_CHANGES[change]} (${brand})`,
    heading: FACTOR_CHANGES[change],
    paragraphs: [`This happened to your account at ${brand}.`],
    facts: describeCircumstances(circumstances),
    notes: [
      'If this was not you, reset your password now, sign in, and check your sessions, passkeys and other factors.',
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
      `The link works once, for ${duration(minutes)}. After that, ask for a new one on the sign-in page.`,
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

/** An intruder may have set up a factor that a new password does not remove. */
function remaining(factors: Factors | undefined): string[] {
  const { totp = false, passkeys = 0 } = factors ?? {}
  const kept = [
    ...(totp ? ['an authenticator app'] : []),
    ...(passkeys > 0 ? [passkeys === 1 ? 'a passkey' : `${passkeys} passkeys`] : []),
  ]
  if (kept.length === 0) return []
  return [
    `Still set up for this account: ${kept.join(' and ')}. Sign in and remove anything you do not recognise.`,
  ]
}

const linkExpiry = (minutes: number) => `The link works once, for ${duration(minutes)}.`

/** 90 → `90 minutes`, 1440 → `24 hours`, 1425 → `23 hours` */
function duration(minutes: number): string {
  const [count, unit] = minutes >= 120 ? [Math.floor(minutes / 60), 'hour'] : [minutes, 'minute']
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
