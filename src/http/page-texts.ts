import {
  fill,
  type InEachLanguage,
  type Languages,
  parseCatalogue,
  type Words,
} from '../core/languages/languages.ts'
import { escapeHtml } from '../platform/html.ts'
import { INTERACTION_TEXTS } from './interaction-texts.ts'
import { THIRD_PARTY_TEXTS } from './third-party-texts.ts'

/** The file of pages in the folder of a language. */
export const PAGE_FILE = 'pages.json'

/** Every text of the built-in pages, with the variables that it may have. The part before the dot names the page. */
export const PAGE_TEXTS = {
  'page.sign_in': [],
  'page.to_start': [],
  'page.help': [],
  'page.account': [],

  'start.title': ['brand'],
  'start.text': ['brand'],
  'start.sign_in_elsewhere': [],
  'start.forgot_password': [],
  'start.developers': [],

  ...INTERACTION_TEXTS,

  'sign_in.title': ['client'],
  'sign_in.email': [],
  'sign_in.password': [],
  'sign_in.forgot_password': [],
  'sign_in.button': [],
  'sign_in.or': [],
  'sign_in.passkey': [],
  'sign_in.no_account': [],
  'sign_in.sign_up': [],
  'sign_in.other_account': [],
  'sign_in.wrong': [],
  'sign_in.passkey_failed': [],
  'sign_in.passkey_unknown': [],

  'second_step.title': [],
  'second_step.text': [],
  'second_step.code': [],
  'second_step.button': [],
  'second_step.passkey': [],
  'second_step.passkey_text': [],
  'second_step.passkey_failed': [],
  'second_step.no_script': [],
  'second_step.recovery': [],
  'second_step.recovery_text': [],
  'second_step.recovery_code': [],
  'second_step.wrong': [],
  'second_step.expired': [],

  'unverified.title': [],
  'unverified.text': ['email', 'client'],

  'reset_required.title': [],
  'reset_required.text': [],
  'reset_required.button': [],

  'sign_up.title': [],
  'sign_up.text': ['client'],
  'sign_up.email': [],
  'sign_up.name': [],
  'sign_up.password': [],
  'sign_up.button': [],
  'sign_up.have_account': [],
  'sign_up.sign_in': [],
  'sign_up.wrong_email': [],
  'sign_up.wrong_name': [],
  'sign_up.done_title': [],
  'sign_up.done_text': ['email', 'client'],
  'sign_up.again': [],

  ...THIRD_PARTY_TEXTS,

  'broken_link.title': [],
  'broken_link.text': [],
  'used_link.title': [],
  'verify_email.title': [],
  'verify_email.text': [],
  'verify_email.button': [],
  'verify_email.done_title': [],
  'verify_email.done_text': [],
  'verify_email.broken': [],
  'verify_email.new_link': [],

  'new_verification.title': [],
  'new_verification.text': [],
  'new_verification.done_text': ['email'],
  'registration_proof.title': [],
  'registration_proof.text': [],
  'registration_proof.password': [],
  'registration_proof.button': [],
  'registration_proof.wrong_password': [],
  'registration_proof.other_text': [],
  'registration_proof.other_button': [],

  'confirm_email_change.title': [],
  'confirm_email_change.text': [],
  'confirm_email_change.button': [],
  'confirm_email_change.done_title': [],
  'confirm_email_change.done_text': [],
  'confirm_email_change.broken': [],
  'confirm_email_change.used': [],

  'unlock.title': [],
  'unlock.text': [],
  'unlock.button': [],
  'unlock.done_title': [],
  'unlock.done_text': [],
  'unlock.broken': [],
  'unlock.used': [],
  'unlock.choose_password': [],

  'keep_factors.title': [],
  'keep_factors.text': [],
  'keep_factors.button': [],
  'keep_factors.done_title': [],
  'keep_factors.done_text': [],
  'keep_factors.broken': [],

  'forgot_password.title': [],
  'forgot_password.text': [],
  'forgot_password.email': [],
  'forgot_password.button': [],
  'forgot_password.wrong_email': [],
  'forgot_password.done_title': [],
  'forgot_password.done_text': ['email'],
  'forgot_password.no_mail': [],
  'forgot_password.again': [],

  'reset_password.title': [],
  'reset_password.text': [],
  'reset_password.button': [],
  'reset_password.done_title': [],
  'reset_password.done_text': [],
  'reset_password.broken': [],
  'reset_password.new_link': [],
  'reset_password.used': [],
  'reset_password.not_chosen': [],

  'password.new': [],
  'password.length': ['min', 'max'],
  'password.length_with_second_factor': ['min'],
  'password.unusable': [],
  'password.busy': [],
  'password.same_as_email': [],
  'password.same_as_before': [],
  'password.based_on_email': [],
  'password.based_on_app_name': [],
  'password.easily_guessed': [],
  'password.common': [],
  'password.breached': [],

  'problem.validation_failed': [],
  'problem.validation_failed_text': [],
  'problem.not_found': [],
  'problem.not_found_text': [],
  'problem.method_not_allowed': [],
  'problem.method_not_allowed_text': [],
  'problem.body_too_large': [],
  'problem.body_too_large_text': [],
  'problem.unsupported_media_type': [],
  'problem.unsupported_media_type_text': [],
  'problem.too_many_attempts': [],
  'problem.too_many_attempts_text': [],
  'problem.locked_text': [],
  'problem.internal_error': [],
  'problem.internal_error_text': [],
  'problem.unavailable': [],
  'problem.unavailable_text': [],
  'problem.overloaded': [],
  'problem.overloaded_text': [],
  'problem.revocation_pending': [],
  'problem.revocation_pending_text': [],
  'problem.other': [],
  'problem.other_text': ['code'],
  'problem.report': ['id'],
  'retry.button': [],
  'retry.soon': [],
  'retry.later': ['when'],
  'retry.form_soon': [],
  'retry.form_later': ['when'],
} as const

export type PageText = keyof typeof PAGE_TEXTS
/** A text without variables. */
export type PlainText = {
  [T in PageText]: (typeof PAGE_TEXTS)[T] extends readonly [] ? T : never
}[PageText]
type Variables<T extends PageText> = Readonly<Record<(typeof PAGE_TEXTS)[T][number], string | number>>

/** The texts of pages in one language, as HTML: what they are filled in with is escaped. */
export interface PageWords {
  /** A BCP 47 tag. */
  lang: string
  say<T extends PageText>(
    text: T,
    ...variables: (typeof PAGE_TEXTS)[T] extends readonly [] ? [] : [Variables<T>]
  ): string
}

/** The texts of pages in every language. */
export interface PageTexts {
  languages: Languages
  get: InEachLanguage<PageWords>
}

/** @throws {TemplateError} for a text that is missing, not known, or has an unknown variable. */
export async function readPageTexts(languages: Languages): Promise<PageTexts> {
  const get = await languages.read(PAGE_FILE, (versions, tag) =>
    wordsIn(parseCatalogue(PAGE_TEXTS, versions), tag),
  )
  return { languages, get }
}

const wordsIn = (texts: Words<typeof PAGE_TEXTS>, lang: string): PageWords => ({
  lang,
  say: (text, ...[variables = {}]) => escapeHtml(fill(texts[text], variables)),
})
