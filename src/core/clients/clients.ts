/** The id of the operator's own client, which users sign in with. Third-party clients have ids of their own. */
export const FIRST_PARTY_CLIENT = 'first-party'

/** The scope that gives access to the user's own account. No third-party client gets it. */
export const ACCOUNT_SCOPE = 'account'

/** The client and the scope of a session in which users manage their own account, whatever they sign in with. */
export const OWN_ACCOUNT = { clientId: FIRST_PARTY_CLIENT, scope: ACCOUNT_SCOPE } as const
