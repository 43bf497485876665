import { type TProperties, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Suppression } from '../../core/mail/mail.ts'
import { canonicalEmail } from '../../http/schemas.ts'

/** What an event reports about an address. */
export interface MailProviderEvent {
  finding: Suppression | 'lifted'
  /** Canonical. */
  address: string
  /** When it happened, according to the event. */
  at: Date
}

const event = <T extends string, D extends TProperties>(type: T, data: D) =>
  Type.Object({ type: Type.Literal(type), created_at: Type.String(), data: Type.Object(data) })

// Our mails have one recipient each. Another product of the same Resend team may mail several: then the event does
// not say which one it is about, but the `suppression.added` event that follows does.
const OnlyRecipient = Type.Tuple([Type.String()])
const Bounced = event('email.bounced', { to: OnlyRecipient, bounce: Type.Object({ type: Type.String() }) })
const Complained = event('email.complained', { to: OnlyRecipient })
const Added = event('suppression.added', { email: Type.String(), origin: Type.String() })
const Removed = event('suppression.removed', { email: Type.String() })

const ORIGINS: Record<string, Suppression> = { bounce: 'bounced', complaint: 'complained' }
/** How far the provider's clock may be ahead, in milliseconds: the same as for its signature. */
const AHEAD_MS = 5 * 60_000

/** Reads an event from Resend; undefined for events that do not concern an address. */
export function readEvent(body: unknown, now: number): MailProviderEvent | undefined {
  const found = find(body)
  if (!found) return undefined
  const { finding, email, createdAt } = found
  const at = Date.parse(createdAt)
  // An event from the future would override everything that is reported until then.
  if (!(at > 0 && at <= now + AHEAD_MS)) return undefined
  try {
    return { finding, address: canonicalEmail(email), at: new Date(at) }
  } catch {
    return undefined
  }
}

function find(body: unknown) {
  if (Value.Check(Bounced, body)) {
    const permanent = body.data.bounce.type.toLowerCase() === 'permanent'
    return permanent ? finding('bounced', body.data.to[0], body) : undefined
  }
  if (Value.Check(Complained, body)) return finding('complained', body.data.to[0], body)
  if (Value.Check(Added, body)) {
    const reason = Object.hasOwn(ORIGINS, body.data.origin) ? ORIGINS[body.data.origin] : undefined
    return reason ? finding(reason, body.data.email, body) : undefined
  }
  return Value.Check(Removed, body) ? finding('lifted', body.data.email, body) : undefined
}

const finding = (
  finding: MailProviderEvent['finding'],
  email: string,
  { created_at }: { created_at: string },
) => ({
  finding,
  email,
  createdAt: created_at,
})
