import type { FetchOptions } from '../../../platform/document-fetch.ts'
import type { UsesPlatform } from '../../../platform/platform.ts'
import { createReadAhead } from '../../../platform/read-ahead.ts'
import { type Client, type OpenIdScope, readOpenPermissions } from '../client.ts'
import { LONGEST_LATE_WINDOW } from '../client-faults.ts'
import { findResource } from '../resources.ts'
import { isBlocked } from './blocked.ts'
import { isDocumentUrl, isUrl } from './document-url.ts'
import { createDocuments, type DocumentBudgets, type DocumentsDeps } from './documents.ts'
import type { Description } from './metadata.ts'
import { createSealedRegistrations, isSealed, type SealedRegistrations } from './sealed-registration.ts'

/** Which clients that nobody registered are accepted, and what they may ask for. */
export interface UnregisteredOptions extends FetchOptions, DocumentBudgets {
  /** Whether clients describe themselves by documents; undefined: as soon as some resource is open to them. */
  metadataDocuments: boolean | undefined
  /** Whether clients register themselves. */
  dynamicRegistration: boolean
  /** The scopes of OpenID Connect that they may ask for. */
  openidScopes: readonly OpenIdScope[]
  /** Whether any user allows a client something: its document is then fetched without a user who is signed in. */
  isAllowed(clientId: string): Promise<boolean>
}

/** Clients that describe themselves: by a document that their id is the address of, or in their id. */
export interface Unregistered {
  find(id: string, userId: string | undefined): Promise<Client | undefined>
  describe(id: string): Promise<Pick<Client, 'name' | 'uri'> | undefined>
  /** Whether it costs no look-up in a store to find it, or to find that there is no such client. */
  isAtHand(id: string): boolean
  acceptsDocuments(): Promise<boolean>
  register: SealedRegistrations['register']
}

export type UnregisteredDeps = UsesPlatform<'db' | 'secrets'> & DocumentsDeps

// The delay of a revocation.
const MAX_AGE_MS = 1_000
const REMEMBERED = 1_000

/** Whether a client id is not one of a registered client, but says itself where the client is described. */
export const describesItself = (id: string): boolean => isUrl(id) || isSealed(id)

export function createUnregistered(deps: UnregisteredDeps, options: UnregisteredOptions): Unregistered {
  const { db, clock } = deps
  const documents = createDocuments(deps, options)
  const registrations = createSealedRegistrations(deps)
  const times = { clock, maxAgeMs: MAX_AGE_MS }
  const refused = createReadAhead<{ isRefused: boolean }>({
    ...times,
    // The audience of an id_token must never be that of a resource.
    read: async (id) => ({ isRefused: (await isBlocked(db, id)) || (await findResource(db, id)) !== null }),
    size: REMEMBERED,
  })
  const open = createReadAhead<Client['permissions']>({
    ...times,
    read: () => readOpenPermissions(db),
    size: 1,
  })
  const permissions = async () => (await open.get('')) ?? []

  const acceptsDocuments = async () => options.metadataDocuments ?? (await permissions()).length > 0

  /** Whether the id can be that of a client that is accepted. */
  async function isAccepted(id: string): Promise<boolean> {
    const isPossible = isUrl(id)
      ? isDocumentUrl(id, options) && (await acceptsDocuments())
      : options.dynamicRegistration && registrations.open(id) !== undefined
    return isPossible && !(await refused.get(id))?.isRefused
  }

  async function read(id: string, userId: string | undefined): Promise<Description | undefined> {
    if (isSealed(id)) return registrations.open(id)
    const known = documents.recall(id)
    if (known) return known
    // Nobody makes this server fetch something who has not signed in.
    const isAllowed = userId !== undefined || (await options.isAllowed(id))
    return isAllowed ? documents.read(id, userId) : undefined
  }

  return {
    isAtHand: (id) =>
      isSealed(id)
        ? registrations.open(id) === undefined || refused.has(id)
        : documents.recall(id) !== undefined,
    acceptsDocuments,
    register: registrations.register,
    async find(id, userId) {
      if (!(await isAccepted(id))) return undefined
      const description = await read(id, userId)
      return description && asClient(id, description, await permissions(), options.openidScopes)
    },
    async describe(id) {
      if (!(await isAccepted(id))) return undefined
      if (isSealed(id)) return registrations.open(id)
      const { host, origin } = new URL(id)
      return documents.recall(id) ?? { name: host, uri: `${origin}/` }
    },
  }
}

const asClient = (
  id: string,
  description: Description,
  permissions: Client['permissions'],
  openidScopes: Client['openidScopes'],
): Client => ({
  ...description,
  id,
  isRegistered: false,
  permissions,
  openidScopes,
  secrets: [],
  serves: [],
  postLogoutRedirectUris: [],
  backchannelLogoutUri: null,
  isFirstParty: false,
  idTokenAlg: null,
  lateWindow: LONGEST_LATE_WINDOW,
  adminScopes: [],
})
