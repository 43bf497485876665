import type { UsesPlatform } from '../../platform/platform.ts'
import { createReadAhead } from '../../platform/read-ahead.ts'
import { ACCOUNT_SCOPE, type Client, readClient } from './client.ts'
import { createOwnApp, type OwnApp } from './own-app.ts'
import { createSecretChecks, type SecretChecks } from './secrets.ts'
import {
  createUnregistered,
  describesItself,
  type Unregistered,
  type UnregisteredDeps,
  type UnregisteredOptions,
} from './unregistered/unregistered.ts'

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
  type OpenIdScope,
  ownApi,
  type Resource,
  TOKEN_TYPES,
  type TokenType,
  userinfoOf,
  wantsLogoutTokens,
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
export type { OwnPermission } from './own-app.ts'
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

export { block, listBlocked, unblock } from './unregistered/blocked.ts'
export { isDocumentUrl, isUrl } from './unregistered/document-url.ts'
export { DOCUMENT_FAULTS, type DocumentFault, UnusableDocument } from './unregistered/documents.ts'
export { UnusableMetadata } from './unregistered/metadata.ts'
export { isSealed, type Registration } from './unregistered/sealed-registration.ts'
export { describesItself, type UnregisteredOptions }

/** The id of the operator's own client, which users sign in with. Third-party clients have ids of their own. */
export const FIRST_PARTY_CLIENT = 'first-party'

/** The client and the scope of a session in which users manage their own account, whatever they sign in with. */
export const OWN_ACCOUNT = { clientId: FIRST_PARTY_CLIENT, scope: ACCOUNT_SCOPE } as const

/** The owner of the tables `clients`, `client_secrets`, `resources`, `client_resources` and `blocked_clients`. */
export interface Clients extends Pick<Unregistered, 'acceptsDocuments' | 'register'> {
  /**
   * A client as it was less than a second ago; undefined if it is unknown, disabled or blocked. The metadata document of
   * one that nobody registered is fetched for a user who has signed in, or if some user allows the client something.
   * @throws {UnusableDocument}
   */
  find(id: string, userId?: string): Client | Promise<Client | undefined>
  /** Whether this node knows the client, or can tell by itself that there is none: `find` then asks for nothing new. */
  isAtHand(id: string): boolean
  /** What a client is called, without fetching anything; undefined as above. */
  describe(id: string): Pick<Client, 'name' | 'uri'> | Promise<Pick<Client, 'name' | 'uri'> | undefined>
  /** Whether the secret is one of the client's; notes its use. */
  checkSecret: SecretChecks['check']
  ownApp: OwnApp
}

// The delay of a revocation.
const MAX_AGE_MS = 1_000
const REMEMBERED = 1_000

export function openClients(
  deps: UsesPlatform<'databaseBreaker' | 'log' | 'poll'> & UnregisteredDeps,
  options: UnregisteredOptions,
): { clients: Clients; background: SecretChecks } {
  const { db, clock } = deps
  const secrets = createSecretChecks(deps)
  const known = createReadAhead<Client>({
    read: (id) => readClient(db, id),
    clock,
    maxAgeMs: MAX_AGE_MS,
    size: REMEMBERED,
  })
  const unregistered = createUnregistered(deps, options)
  const clients: Clients = {
    find: (id, userId) => (describesItself(id) ? unregistered.find(id, userId) : known.get(id)),
    describe: (id) => (describesItself(id) ? unregistered.describe(id) : known.get(id)),
    isAtHand: (id) => (describesItself(id) ? unregistered.isAtHand(id) : known.has(id)),
    acceptsDocuments: unregistered.acceptsDocuments,
    register: unregistered.register,
    checkSecret: secrets.check,
    ownApp: createOwnApp(deps),
  }
  return { clients, background: secrets }
}
