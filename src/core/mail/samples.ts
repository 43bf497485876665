import type { MailTemplate, Templates } from './mail-data.ts'

const at = Date.UTC(2026, 2, 1, 14, 5)
const link = 'https://auth.example.com/auth/page?token=the-token-of-the-link'
const resetLink = 'https://auth.example.com/auth/forgot-password'
const here = { at, ip: '203.0.113.9', userAgent: 'Mozilla/5.0 (Windows NT 10.0) Firefox/140.0' }

/**
 * Data for each mail, which together use every variable and every variant: to look at texts, and to check that they use
 * only what there is.
 */
export const SAMPLES: { readonly [T in MailTemplate]: readonly Templates[T][] } = {
  confirm_registration: [
    { registrations: [{ link, ...here }], minutes: 1440 },
    {
      registrations: [
        { link, ...here },
        { link: `${link}-2`, at: at + 300_000 },
      ],
      minutes: 1425,
    },
  ],
  verify_email: [{ link, minutes: 1440 }],
  already_registered: [{ resetLink }],
  reset_password: [
    { link, minutes: 60, ip: here.ip, isNew: false },
    { link, minutes: 60, ip: here.ip, isNew: true },
  ],
  password_changed: [
    { at, ip: here.ip, factors: { totp: true, passkeys: 2 } },
    { at, ip: here.ip },
  ],
  refresh_reuse_detected: [
    { isClient: false, ...here },
    { isClient: true, client: 'Example app', ...here },
  ],
  account_deleted: [{ at }],
  account_locked: [
    { link, resetLink, minutes: 60, everywhere: false, passwordKnown: false, ...here },
    { link, resetLink, minutes: 60, everywhere: true, passwordKnown: true, ...here },
  ],
  new_device: [here],
  confirm_email_change: [{ link, minutes: 60, oldEmail: 'ann@example.com' }],
  email_change_taken: [{ oldEmail: 'ann@example.com' }],
  email_change_requested: [{ newEmail: 'ann.new@example.com', ...here }],
  email_changed: [{ newEmail: 'ann.new@example.com', ...here }],
  factor_changed: (
    [
      'totp_enabled',
      'totp_disabled',
      'passkey_added',
      'passkey_removed',
      'recovery_codes_created',
      'recovery_code_used',
      'factors_kept',
    ] as const
  ).map((change) => ({ change, ...here })),
  reset_required: [{ link, minutes: 60 }],
  account_exported: [here],
  factors_reset_requested: [{ link, at, effectiveAt: at + 86_400_000 }],
  factors_reset: [{ at }],
}

export const MAIL_TEMPLATES = Object.keys(SAMPLES) as readonly MailTemplate[]

export const isMailTemplate = (name: string): name is MailTemplate => Object.hasOwn(SAMPLES, name)
