/** Words that several mails use, each with its text. A text may have `{{variables}}`. */
export type Words = Readonly<Record<Word, string>>
type Word = (typeof WORDS)[number]

export const WORDS = [
  'when',
  'ipAddress',
  'with',
  'programOnSystem',
  'unknownProgram',
  'openInBrowser',
  'sentBy',
  'app',
  'onePasskey',
  'passkeys',
  'totp_enabled',
  'totp_disabled',
  'passkey_added',
  'passkey_removed',
  'recovery_codes_created',
  'recovery_code_used',
  'factors_kept',
] as const
export const WORD_VARIABLES = ['brand', 'program', 'system', 'count']
