import { openEvents } from '../../core/events/events.ts'
import { listFactorResets } from '../../core/factor-resets/factor-resets.ts'
import { listFactors } from '../../core/factors/factors.ts'
import { createOneTimeTokens } from '../../core/one-time/one-time.ts'
import { findOwners, openSessionLedger } from '../../core/sessions/sessions.ts'
import { openUsers } from '../../core/users/users.ts'
import { systemClock } from '../../platform/clock.ts'
import { openDatabase } from '../../platform/database.ts'
import type { DatabaseTarget } from '../../platform/database-login.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { createTransact } from '../../platform/transact.ts'
import { OPERATOR_CONTEXT, operatorName } from '../operator.ts'

export type AdminContext = ReturnType<typeof openAdminContext>

/** Opens the services that the administrators' use cases need, with Postgres alone. */
export function openAdminContext(database: DatabaseTarget) {
  const { db, poll, databaseBreaker, close } = openDatabase({ ...database, poolSize: 1 })
  const clock = systemClock
  const log = console
  const users = openUsers({ clock })
  return {
    db,
    poll,
    transact: createTransact(db),
    clock,
    users,
    // It only writes revocations to the ledger: running nodes read them there and update Redis.
    sessions: openSessionLedger(),
    factors: { ofAll: listFactors },
    factorResets: { pending: listFactorResets },
    events: openEvents({ db, databaseBreaker, clock, log, metrics: createMetrics(), findOwners }),
    oneTimeTokens: createOneTimeTokens({ clock, users }),
    // Queued mail is encrypted with APP_SECRETS, which most commands do not need.
    mail: { enqueue: async () => {} },
    actor: operatorName(),
    requestContext: OPERATOR_CONTEXT,
    close,
  }
}
