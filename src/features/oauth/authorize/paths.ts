export const AUTHORIZE = '/oauth/authorize'
/** Where pages lead after a sign-in. */
export const CONTINUE = `${AUTHORIZE}/continue`
/** Where the page that asks sends its form. */
export const DECIDE = `${AUTHORIZE}/decide`
