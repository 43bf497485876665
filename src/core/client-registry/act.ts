import type { UsesPlatform } from '../../platform/platform.ts'
import type { SigningAlgorithm } from '../../platform/signing-algorithms.ts'
import type { Fault } from '../clients/clients.ts'
import type { AuditEvent, Events, RequestContext } from '../events/events.ts'
import { Problem } from '../problems/problems.ts'
import type { SessionLedger } from '../sessions/sessions.ts'
import type { KeyRing } from '../tokens/tokens.ts'

export interface RegistryDeps extends UsesPlatform<'db' | 'transact' | 'clock'> {
  events: Pick<Events, 'record'>
  sessions: Pick<SessionLedger, 'revoke'>
  keyRing: Pick<KeyRing, 'ensure'>
  /** The audiences of this server itself, which no resource can have. */
  ownAudiences: readonly string[]
}

/** Who changes the registry. */
export interface By {
  /** An administrator's user id, or the name of the command line. */
  actor: string
  context: RequestContext
  /** Whether it is the command line, which alone gives administrative scopes and changes the clients that have them. */
  isOperator: boolean
}

type RegistryEvent = Extract<AuditEvent, { type: `client_${string}` | `resource_${string}` }>
export type Refusal = Extract<RegistryEvent, { outcome: 'failure' }> & {
  reason: 'not_found' | 'command_line_only'
}

/** Records a refusal and throws it. */
export async function refuse({ db, events }: RegistryDeps, refusal: Refusal, by: By): Promise<never> {
  await events.record(db, { ...refusal, actor: by.actor }, by.context)
  throw new Problem(refusal.reason)
}

/** @throws `validation_failed` with all faults, if there are any. */
export function requireValid(faults: readonly Fault[]): void {
  if (faults.length > 0) throw new Problem('validation_failed', { errors: faults })
}

/**
 * Makes sure that a key of an algorithm signs. What is new may use its first key at once. What exists has verifiers that
 * read the keys every 15 minutes at most, so it has to wait until the first key has been published for an hour.
 * @throws `signing_key_waits`.
 */
export async function requireKey(
  { keyRing }: RegistryDeps,
  alg: SigningAlgorithm | null | undefined,
  { atOnce }: { atOnce: boolean },
): Promise<void> {
  const from = alg ? await keyRing.ensure(alg, { atOnce }) : null
  if (from) throw new Problem('signing_key_waits', { signs_at: from.toISOString() })
}
