/** Links in mails, and to the pages that an app has instead of the built-in ones. They are built from the configuration, never from a request's `Host`. */
export interface Links {
  verifyEmail(token: string): string
  resetPassword(token: string): string
  unlock(token: string): string
  confirmEmailChange(token: string): string
  keepFactors(token: string): string
  /** The page where a user asks for a new password. */
  forgotPassword(): string
  /** The page where a user changes the password. Without an app it is the one above: there is no other. */
  changePassword(): string
}

/** @param appUrl the operator's app, if it handles the links instead of the built-in pages. */
export function createLinks(publicUrl: string, appUrl: string | undefined): Links {
  const base = appUrl ?? `${publicUrl}/auth`
  return {
    verifyEmail: (token) => `${base}/verify-email?token=${token}`,
    resetPassword: (token) => `${base}/reset-password?token=${token}`,
    confirmEmailChange: (token) => `${base}/confirm-email-change?token=${token}`,
    unlock: (token) => `${base}/unlock?token=${token}`,
    keepFactors: (token) => `${base}/keep-factors?token=${token}`,
    forgotPassword: () => `${base}/forgot-password`,
    changePassword: () => `${base}/${appUrl ? 'change-password' : 'forgot-password'}`,
  }
}

/** A link that tells the page behind it which language its reader was written to in. */
export const withLocale = (link: string, tag: string): string =>
  `${link}${link.includes('?') ? '&' : '?'}locale=${tag}`
