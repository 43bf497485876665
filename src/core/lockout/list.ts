import type { Queryable } from '../../platform/database.ts'
import type { AccountKey } from './account-key.ts'
import { LASTING } from './counters.ts'

/** A count of failed guesses at an account. By whom is left out: an address is somebody else's, a device's name a hash. */
export interface GuessCount {
  what: string
  countedBy: 'network_address' | 'device' | 'account'
  failures: number
  resetsAt: Date | null
  updatedAt: Date
}

/** A page of the counts under a key, and where the next page begins. */
export async function listGuessCounts(
  db: Queryable,
  account: AccountKey,
  { after, take }: { after: string | undefined; take: number },
): Promise<{ rows: GuessCount[]; last: string | undefined }> {
  const found = await db.guessCounter.findMany({
    where: { account, ...(after === undefined ? {} : { bucket: { gt: after } }) },
    orderBy: { bucket: 'asc' },
    take,
  })
  const rows = found.map(({ bucket, failures, resetsAt, updatedAt }) => ({
    what: bucket.split(':', 1)[0] as string,
    countedBy: whose(bucket),
    failures,
    resetsAt,
    updatedAt,
  }))
  return { rows, last: found.at(-1)?.bucket }
}

function whose(bucket: string): GuessCount['countedBy'] {
  if (bucket.includes(':device:')) return 'device'
  return bucket.endsWith(LASTING) || !bucket.startsWith('password:') ? 'account' : 'network_address'
}
