import { createHash } from 'node:crypto'
import type { Queryable } from '../../platform/database.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'

/** The content of a ticket, by purpose. A ticket works for one purpose only. */
export interface TicketData {
  /**
   * Between the two steps of a sign-in: the password was right. `passwordVersion` is the user's security version, under
   * the name that nodes of the previous release read.
   */
  mfa: { userId: string; passwordVersion: number; transport: 'cookie' | 'body' }
  /** A WebAuthn challenge for a new passkey. A new password voids it. */
  passkey_registration: { userId: string; securityVersion: number; challenge: string }
  /** A WebAuthn challenge for an existing passkey; when `userId` is null, for a passkey of any user. */
  passkey_assertion: { use: PasskeyUse; userId: string | null; challenge: string }
  /** What a built-in page continues with after a sign-in that a client asked for. */
  interaction: Interaction
  /** What a person is asked for by a client, and in which session of their own. */
  consent: { query: string; sessionId: string }
  /** The same of a device whose code the person has typed. */
  device_consent: { deviceId: string; sessionId: string }
  authorization_code: AuthorizationCode
  /** What a person is asked before a sign-out, and where the browser goes after it. */
  end_session: { sessionIds: readonly string[]; target: string | null; clientId: string | null }
}

export interface Interaction {
  /** A path of this server, without a query: where the browser goes on with `?ticket=…`. */
  path: string
  /** The query of the client's request, as it came. */
  query: string
  /** The session that the person has begun on a page of this interaction. */
  signedIn?: string
  /** As people read it; not escaped. */
  clientName: string
  /** The e-mail address that the client suggests; any text. */
  loginHint: string | null
  /** Where the client's request leads in the end, unless the query says so itself. */
  redirectUri?: string
}
/** What an authorization code stands for (RFC 6749 §4.1.2). The code is sealed: nothing is stored until it is used. */
export interface AuthorizationCode {
  /** Milliseconds since the epoch. */
  issuedAt: number
  userId: string
  securityVersion: number
  /** The user's own session, in which the client was allowed. */
  parentId: string
  clientId: string
  redirectUri: string
  /** Whether the client named the redirect URI, so that it has to name it again. */
  namedRedirectUri: boolean
  /** Empty for OpenID Connect alone. */
  resource: string
  scope: string
  /** PKCE, S256 (RFC 7636 §4.2). */
  challenge: string | null
  nonce: string | null
  /** When the user signed in, in seconds since the epoch, and how (RFC 8176). */
  authTime: number
  amr: readonly string[]
  /** The latest time at which the session may end (ms); null for its own lifetime. */
  endsAt: number | null
  /** Thumbprint of the key that has to redeem it (RFC 9449 §10). */
  key: string | null
}

/** How long an interaction ticket works, in seconds: long enough to register and to verify an address. */
export const INTERACTION_TTL = 3600

export type TicketPurpose = keyof TicketData
export type PasskeyUse = 'sign_in' | 'second_factor' | 'step_up'

/**
 * Encrypted data that a client keeps between two requests. Nothing is stored when a ticket is issued, so that nobody
 * can fill a table; `spend` succeeds once, so each ticket works once.
 */
export interface Tickets {
  /** `ttl` in seconds. */
  issue<P extends TicketPurpose>(purpose: P, data: TicketData[P], ttl: number): string
  /** Null unless it is a valid ticket for this purpose. */
  open<P extends TicketPurpose>(purpose: P, ticket: string): TicketData[P] | null
  /** The valid one that works for the longest time, which of one lifetime is the latest; null without a valid one. */
  latest(purpose: TicketPurpose, tickets: readonly string[]): string | null
  /** False when the ticket was spent before. Call it in the transaction of the action that the ticket allows. */
  spend(tx: Transaction, purpose: TicketPurpose, ticket: string): Promise<boolean>
}

export function createTickets({ secrets, clock }: UsesPlatform<'secrets' | 'clock'>): Tickets {
  function read<P extends TicketPurpose>(purpose: P, ticket: string) {
    const sealed = Buffer.from(ticket, 'base64url')
    // Node's decoder skips unknown characters: without this check a ticket could be spent in several spellings.
    if (sealed.toString('base64url') !== ticket) return null
    try {
      const { expiresAt, data } = JSON.parse(secrets.open('ticket', purpose, sealed))
      return expiresAt > clock.now()
        ? { sealed, expiresAt: expiresAt as number, data: data as TicketData[P] }
        : null
    } catch {
      return null
    }
  }

  return {
    issue(purpose, data, ttl) {
      const text = JSON.stringify({ expiresAt: clock.now() + ttl * 1000, data })
      return Buffer.from(secrets.seal('ticket', purpose, text)).toString('base64url')
    },
    open: (purpose, ticket) => read(purpose, ticket)?.data ?? null,
    latest(purpose, tickets) {
      let latest = { ticket: null as string | null, expiresAt: Number.NEGATIVE_INFINITY }
      for (const ticket of tickets) {
        const { expiresAt } = read(purpose, ticket) ?? latest
        if (expiresAt > latest.expiresAt) latest = { ticket, expiresAt }
      }
      return latest.ticket
    },
    async spend(tx, purpose, ticket) {
      const valid = read(purpose, ticket)
      if (!valid) return false
      const hash = new Uint8Array(createHash('sha256').update(valid.sealed).digest())
      return spendOnce(tx, hash, new Date(valid.expiresAt))
    },
  }
}

/**
 * Notes that something is used up, by its SHA-256; false if it was before. `expiresAt`: when it stops working anyway.
 * A concurrent use waits for the other transaction and, once that commits, finds it spent.
 */
export async function spendOnce(
  tx: Queryable,
  hash: Uint8Array<ArrayBuffer>,
  expiresAt: Date,
): Promise<boolean> {
  const spent = await tx.$executeRaw`
    INSERT INTO spent_tickets (hash, expires_at) VALUES (${hash}, ${expiresAt}) ON CONFLICT DO NOTHING`
  return spent === 1
}
