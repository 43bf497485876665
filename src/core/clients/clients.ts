import type { Background } from '../../platform/background.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { createReadAhead } from '../../platform/read-ahead.ts'
import { ACCOUNT_SCOPE, type Client, readClient } from './client.ts'
import { createSecretChecks, type SecretChecks } from './secrets.ts'

export {
  ACCOUNT_SCOPE,
  ADMIN_SCOPES,
  type AdminScope,
  AUTH_METHODS,
  type AuthMethod,
  askedAlgorithms,
  type Client,
  DEVICE_CODE,
  GRANT_TYPES,
  type GrantType,
  OPENID_SCOPES,
  ownApi,
  type Resource,
  TOKEN_TYPES,
  type TokenType,
  userinfoOf,
} from './client.ts'
export { clientFaults, type Fault, LONGEST_LATE_WINDOW } from './client-faults.ts'
export { clientsAfter, findClient, listClients, lockClient, type RegisteredClient } from './list.ts'
export {
  addSecret,
  allow,
  type ClientChanges,
  changeClient,
  createClient,
  deleteClient,
  endOldSecrets,
  type NewClient,
  setDisabled,
} from './manage.ts'
export { isValidRedirectUri, matchesRedirectUri } from './redirect-uri.ts'
export {
  changeResource,
  createResource,
  deleteResource,
  findResource,
  isClientId,
  listResources,
  type NewResource,
  type RegisteredResource,
  type ResourceChanges,
  resourceFaults,
  resourcesAfter,
} from './resources.ts'

/** The id of the operator's own client, which users sign in with. Third-party clients have ids of their own. */
export const FIRST_PARTY_CLIENT = 'first-party'

/** The client and the scope of a session in which users manage their own account, whatever they sign in with. */
export const OWN_ACCOUNT = { clientId: FIRST_PARTY_CLIENT, scope: ACCOUNT_SCOPE } as const

/** The owner of the tables `clients`, `client_secrets`, `resources` and `client_resources`. */
export interface Clients {
  /** A client as it was less than a second ago; undefined if it is unknown or disabled. */
  find(id: string): Client | Promise<Client | undefined>
  /** Whether the secret is one of the client's; notes its use. */
  checkSecret: SecretChecks['check']
}

// The delay of a revocation.
const MAX_AGE_MS = 1_000
const REMEMBERED = 1_000

export function openClients(deps: UsesPlatform<'db' | 'databaseBreaker' | 'clock' | 'log' | 'metrics'>): {
  clients: Clients
  background: Background
} {
  const { db, clock } = deps
  const secrets = createSecretChecks(deps)
  const known = createReadAhead<Client>({
    read: (id) => readClient(db, id),
    clock,
    maxAgeMs: MAX_AGE_MS,
    size: REMEMBERED,
  })
  return { clients: { find: known.get, checkSecret: secrets.check }, background: secrets }
}
