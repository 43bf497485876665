import type { Words } from '../languages/languages.ts'

/** Words that several mails use, with the variables that each may have. */
export const MAIL_WORDS = {
  when: [],
  ipAddress: [],
  with: [],
  programOnSystem: ['program', 'system'],
  unknownProgram: [],
  openInBrowser: [],
  sentBy: ['brand'],
  app: [],
  onePasskey: [],
  passkeys: ['count'],
  totp_enabled: [],
  totp_disabled: [],
  passkey_added: [],
  passkey_removed: [],
  recovery_codes_created: [],
  recovery_code_used: [],
  factors_kept: [],
} as const

export type MailWords = Words<typeof MAIL_WORDS>
