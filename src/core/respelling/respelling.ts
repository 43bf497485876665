import { isStoreUnavailable } from '../../platform/database.ts'
import { canonicalAddress } from '../../platform/email-address.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import { mergeCounters } from '../lockout/lockout.ts'
import { respellSuppressions } from '../mail/mail.ts'
import {
  type LockedUser,
  listUnusual,
  respellAddress,
  type StoredAddress,
  type User,
  type Users,
} from '../users/users.ts'

/** An account that keeps an address which is not in its canonical spelling. */
export interface LeftBehind extends StoredAddress {
  /** `taken`: an older account of the same mailbox has the address. `not_an_address`: it has no canonical spelling. */
  reason: 'taken' | 'not_an_address'
  /** The id of the account that has the address. */
  takenBy: string | null
}

export type RespellingUses = UsesPlatform<'db' | 'transact'> & { users: Pick<Users, 'lock' | 'findByEmail'> }

/** The number of accounts that are read at once. */
const PAGE = 500
// A transaction is repeated if another one took the address meanwhile, or held a row for too long.
const ATTEMPTS = 5

/**
 * Brings stored addresses over to their canonical spelling, which earlier versions did not know: those of accounts with
 * the counts of failed guesses, and those that the mail provider reported. Of two accounts of one mailbox, the oldest
 * whose address is verified gets it. Changes nothing a second time. Several nodes may do it at once.
 * @returns the number of accounts that got their canonical address from this call.
 */
export async function respellAddresses(uses: RespellingUses): Promise<number> {
  await respellSuppressions(uses.db)
  let changed = 0
  for await (const user of unusualAddresses(uses)) {
    const canonical = canonicalAddress(user.email)
    if (canonical === null || canonical === user.email) continue
    if (await respell(uses, user, canonical)) changed += 1
  }
  return changed
}

/** The accounts that {@link respellAddresses} has left as they are: an operator has to look at them. */
export async function* listLeftBehind({ db, users }: RespellingUses): AsyncGenerator<LeftBehind> {
  for await (const stored of unusualAddresses({ db })) {
    const canonical = canonicalAddress(stored.email)
    if (canonical === stored.email) continue
    const holder = canonical === null ? null : await users.findByEmail(db, canonical)
    yield {
      ...stored,
      reason: canonical === null ? 'not_an_address' : 'taken',
      takenBy: holder?.id ?? null,
    }
  }
}

async function* unusualAddresses({ db }: Pick<RespellingUses, 'db'>): AsyncGenerator<StoredAddress> {
  for (let after: string | undefined; ; ) {
    const page = await listUnusual(db, after, PAGE)
    yield* page
    after = page.at(-1)?.id
    if (page.length < PAGE) return
  }
}

async function respell(uses: RespellingUses, stored: StoredAddress, canonical: string): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await uses.transact((tx) => takeAddress(uses, tx, stored, canonical))
    } catch (error) {
      const isTaken = (error as { code?: string }).code === 'P2002'
      if (attempt === ATTEMPTS || !(isTaken || isStoreUnavailable(error))) throw error
    }
  }
}

/** False when nothing has changed: the account that has the address keeps it, or another node was faster. */
async function takeAddress(
  { users }: RespellingUses,
  tx: Transaction,
  stored: StoredAddress,
  canonical: string,
): Promise<boolean> {
  const found = await users.findByEmail(tx, canonical)
  const locked = new Map<string, LockedUser>()
  // In the order of their ids, so that two nodes that do this at once do not deadlock.
  for (const id of [stored.id, ...(found ? [found.id] : [])].sort()) {
    const user = await users.lock(tx, id, { disabled: true })
    if (user) locked.set(id, user)
  }
  const user = locked.get(stored.id)
  if (user?.email !== stored.email) return false
  const holder = [...locked.values()].find(({ email }) => email === canonical)
  if (holder && !precedes(user, holder)) return false
  await respellAddress(tx, user, canonical, holder)
  await mergeCounters(tx, user.email, canonical)
  return true
}

/** Whether `user` and not `other` gets an address that both have. */
function precedes(user: User, other: User): boolean {
  if ((user.emailVerifiedAt === null) !== (other.emailVerifiedAt === null)) return !!user.emailVerifiedAt
  const age = user.createdAt.getTime() - other.createdAt.getTime()
  return age === 0 ? user.id < other.id : age < 0
}
