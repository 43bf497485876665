import type { UsesPlatform } from '../../platform/platform.ts'
import type { Users } from '../users/users.ts'
import { createOneTimeTokens, type OneTimeTokens } from './one-time-tokens.ts'
import { createTickets, type Tickets } from './tickets.ts'
import { createUsedTokens, type UsedTokens } from './used-tokens.ts'

export { listPendingLinks } from './list.ts'
export {
  createOneTimeTokens,
  ONE_TIME_TTL,
  type OneTimePurpose,
  type OneTimeTokens,
  voidLinks,
} from './one-time-tokens.ts'
export {
  type AuthorizationCode,
  INTERACTION_TTL,
  type Interaction,
  type PasskeyUse,
  spendOnce,
  type Tickets,
} from './tickets.ts'
export type { UsedTokens } from './used-tokens.ts'

/** Credentials that work once: links in mails, and tickets that a client keeps between two requests. */
export function openOneTime(
  deps: UsesPlatform<'clock' | 'secrets'> & { users: Pick<Users, 'find' | 'lock'> },
): { oneTimeTokens: OneTimeTokens; usedTokens: UsedTokens; tickets: Tickets } {
  return {
    oneTimeTokens: createOneTimeTokens(deps),
    usedTokens: createUsedTokens(deps),
    tickets: createTickets(deps),
  }
}
