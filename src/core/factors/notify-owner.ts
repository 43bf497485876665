import type { Clock } from '../../platform/clock.ts'
import type { Queryable } from '../../platform/database.ts'
import type { Origin } from '../events/events.ts'
import type { FactorChange } from '../mail/mail-data.ts'
import type { Outbox } from '../outbox/outbox.ts'

/** Puts into the outbox what happened to the factors of an account. */
export async function tellOwner(
  { outbox, clock }: { outbox: Pick<Outbox, 'enqueue'>; clock: Clock },
  tx: Queryable,
  email: string,
  change: FactorChange,
  { ip, userAgent }: Origin,
): Promise<void> {
  const data = { change, at: clock.now(), ip, userAgent }
  await outbox.enqueue(tx, email, { template: 'factor_changed', data })
}
