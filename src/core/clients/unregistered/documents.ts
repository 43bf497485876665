import { LRUCache } from 'lru-cache'
import { type Budget, type Budgets, createBudgets } from '../../../platform/budgets.ts'
import { createConcurrencyLimit, Overloaded } from '../../../platform/concurrency-limit.ts'
import {
  createFetchDocument,
  FETCH_FAULTS,
  FetchError,
  type FetchOptions,
} from '../../../platform/document-fetch.ts'
import { parseUrl } from '../../../platform/parse-url.ts'
import type { UsesPlatform } from '../../../platform/platform.ts'
import { type Description, readMetadata, requireUsable, UnusableMetadata } from './metadata.ts'

/** Why a metadata document cannot be used. */
export const DOCUMENT_FAULTS = [...FETCH_FAULTS, 'wrong_client_id', 'invalid_metadata', 'too_many'] as const
export type DocumentFault = (typeof DOCUMENT_FAULTS)[number]

/** A client's metadata document cannot be used, or not now. */
export class UnusableDocument extends Error {
  readonly fault: DocumentFault
  /** What is wrong, for the developers of the client. */
  readonly detail: string | null
  /** Whether another try can succeed without a change of the document. */
  readonly isTemporary: boolean

  constructor(fault: DocumentFault, { detail = null as string | null, isTemporary = false } = {}) {
    super(detail ?? fault)
    this.fault = fault
    this.detail = detail
    this.isTemporary = isTemporary
  }
}

/** Budgets of fetches; null for no limit. */
export interface DocumentBudgets {
  /** Of each origin, and of each document that is in use. */
  origin: Budget | null
  /** Of each user. */
  user: Budget | null
}

/** Client ID metadata documents, fetched and remembered (draft-ietf-oauth-client-id-metadata-document §4). */
export interface Documents {
  /** What is remembered. */
  recall(id: string): Description | undefined
  /** What is remembered or else fetched, on behalf of a user if there is one. @throws {UnusableDocument} */
  read(id: string, userId: string | undefined): Promise<Description>
}

export type DocumentsDeps = UsesPlatform<'redis' | 'redisBreaker' | 'clock' | 'metrics'>

const REMEMBERED = 500
const FETCH_MS = 5_000
const MOST_FETCHES = 50
const ERROR_MS = 5_000
const LEAST_MS = 60_000
const MOST_MS = 86_400_000
const USUAL_SECONDS = 300
const JSON_TYPES = ['application/json']
const KEY_TYPES = [...JSON_TYPES, 'application/jwk-set+json']

interface Entry {
  found: Description | UnusableDocument
  expiresAt: number
}

export function createDocuments(
  deps: DocumentsDeps,
  { origin, user, ...options }: FetchOptions & DocumentBudgets,
): Documents {
  const { clock, metrics } = deps
  const fetchDocument = createFetchDocument(options)
  const budgets = createBudgets(deps)
  const limit = createConcurrencyLimit(MOST_FETCHES, 0)
  const entries = new LRUCache<string, Entry>({ max: REMEMBERED })
  // Apart, so that errors push no good document out.
  const errors = new LRUCache<string, Entry>({ max: REMEMBERED })
  const reading = new Map<string, Promise<Description>>()

  async function fetchDescription(id: string, budgetOf: (url: URL) => string, signal: AbortSignal) {
    const url = new URL(id)
    const { json, maxAge } = await fetchDocument(url, { types: JSON_TYPES, signal })
    if ((json as { client_id?: unknown } | null)?.client_id !== id)
      throw new UnusableDocument('wrong_client_id', { detail: 'client_id must be the URL of the document' })
    const { jwksUri, name, ...metadata } = readMetadata(json)
    const keys = jwksUri === null ? null : await fetchKeys(jwksUri, budgetOf, signal)
    const description: Description = {
      ...metadata,
      jwks: keys?.jwks ?? metadata.jwks,
      // The host is what has been checked: the name is only ever beside it.
      name: name === null ? url.host : `${name} (${url.host})`,
      uri: `${url.origin}/`,
    }
    requireUsable({ ...description, name: name ?? url.host.slice(0, 100) })
    const ages = [maxAge ?? USUAL_SECONDS, keys?.maxAge ?? maxAge ?? USUAL_SECONDS]
    return { description, forMs: Math.min(Math.max(Math.min(...ages) * 1000, LEAST_MS), MOST_MS) }
  }

  async function fetchKeys(jwksUri: string, budgetOf: (url: URL) => string, signal: AbortSignal) {
    const url = parseUrl(jwksUri)
    if (url?.username !== '')
      throw new UnusableDocument('invalid_metadata', { detail: 'jwks_uri must be a URL' })
    await spend(budgets, budgetOf(url), origin)
    const { json, maxAge } = await fetchDocument(url, { types: KEY_TYPES, signal })
    return { jwks: json as NonNullable<Description['jwks']>, maxAge }
  }

  async function load(id: string, userId: string | undefined): Promise<Description> {
    const url = new URL(id)
    // Who makes up ids of an origin must not keep a client of it from being read again.
    const isInUse = entries.has(id) || userId === undefined
    const budgetOf = ({ origin }: URL) =>
      isInUse && origin === url.origin ? `document:${id}` : `origin:${origin}`
    try {
      if (userId !== undefined && !isInUse) await spend(budgets, `user:${userId}`, user)
      await spend(budgets, budgetOf(url), origin)
      const { description, forMs } = await limit(() =>
        fetchDescription(id, budgetOf, AbortSignal.timeout(FETCH_MS)),
      )
      entries.set(id, { found: description, expiresAt: clock.now() + forMs })
      metrics.countClientDocument('read')
      return description
    } catch (error) {
      const found = faultOf(error)
      metrics.countClientDocument(found.fault)
      // Another person's budget may have points.
      if (found.fault !== 'too_many') errors.set(id, { found, expiresAt: clock.now() + ERROR_MS })
      throw found
    }
  }

  const fresh = (entry: Entry | undefined) =>
    entry && entry.expiresAt > clock.now() ? entry.found : undefined

  function recall(id: string): Description | undefined {
    const found = fresh(entries.get(id))
    return found instanceof UnusableDocument ? undefined : found
  }

  return {
    recall,
    async read(id, userId) {
      const known = recall(id)
      if (known) return known
      const fault = fresh(errors.get(id))
      if (fault instanceof UnusableDocument) throw fault
      const under = reading.get(id)
      if (under) return under
      const loading = load(id, userId).finally(() => reading.delete(id))
      reading.set(id, loading)
      return loading
    },
  }
}

/** @throws {UnusableDocument} if the budget is spent. */
async function spend(budgets: Budgets, key: string, budget: Budget | null): Promise<void> {
  if (!budget) return
  const answer = await budgets.take(`client_document:${key}`, budget, { spend: true })
  if ('waitMs' in answer) throw new UnusableDocument('too_many', { isTemporary: true })
}

/** @throws what is no fault of a document. */
function faultOf(error: unknown): UnusableDocument {
  if (error instanceof UnusableDocument) return error
  if (error instanceof FetchError)
    return new UnusableDocument(error.fault, { isTemporary: error.isTemporary })
  if (error instanceof UnusableMetadata)
    return new UnusableDocument('invalid_metadata', { detail: error.message })
  if (error instanceof Overloaded) return new UnusableDocument('too_many', { isTemporary: true })
  throw error
}
