/** The client that people sign in with. Third parties will have names of their own. */
export const FIRST_PARTY_CLIENT = 'first-party'

/** The scope that opens a person's own account. No third party gets it. */
export const ACCOUNT_SCOPE = 'account'
