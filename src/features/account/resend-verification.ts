import type { RequestContext } from '../../core/events/events.ts'
import type { Uses } from '../../core/uses.ts'
import { clientKey } from '../../platform/client-key.ts'

/** Mails again what waits for a confirmation at this canonical address, if anything does. */
export async function resendVerification(
  { transact, registrations }: Uses<'transact' | 'registrations'>,
  email: string,
  context: RequestContext,
): Promise<void> {
  await transact((tx) => registrations.mail(tx, email, clientKey(context.ip)))
}
