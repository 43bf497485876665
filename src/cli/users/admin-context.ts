import { userInfo } from 'node:os'
import { createAudit, type Origin } from '../../core/events/events.ts'
import { recordRevocations } from '../../core/sessions/ledger.ts'
import { systemClock } from '../../platform/clock.ts'
import { openDatabase } from '../../platform/database.ts'

export type AdminContext = ReturnType<typeof openAdminContext>

/** What the use cases of administration need, with Postgres alone. */
export function openAdminContext(url: string) {
  const { db, databaseBreaker, close } = openDatabase({ url, poolSize: 1 })
  const clock = systemClock
  const origin: Origin = { ip: 'command line', userAgent: undefined, requestId: 'command line' }
  return {
    db,
    clock,
    audit: createAudit({ db, databaseBreaker, clock, log: console }),
    // Running nodes carry to Redis what the ledger holds.
    refreshTokens: { record: recordRevocations, propagate: async () => {} },
    // Mail is sealed under APP_SECRETS, which most commands do without.
    outbox: { enqueue: async () => {}, wake() {} },
    actor: `command line (${operator()})`,
    origin,
    close,
  }
}

function operator(): string {
  try {
    return userInfo().username
  } catch {
    // In a container the user often has a number only.
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}
