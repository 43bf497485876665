import { openEvents } from '../core/events/events.ts'
import { withdrawUntil } from '../core/factor-resets/factor-resets.ts'
import { withdrawGrant } from '../core/grants/grants.ts'
import { voidLinks } from '../core/one-time/one-time.ts'
import { giveUpQueued } from '../core/outbox/outbox.ts'
import { endUncertain, findLaterUse, findOwners, judgeSessions } from '../core/sessions/sessions.ts'
import { distrustKeysOf } from '../core/tokens/tokens.ts'
import { openUsers } from '../core/users/users.ts'
import { systemClock } from '../platform/clock.ts'
import { createMetrics } from '../platform/metrics.ts'
import { firstContact, openRedis } from '../platform/redis.ts'
import { createRedisLogins } from '../platform/redis-login.ts'
import { createSecrets } from '../platform/secrets.ts'
import { type Call, parseCall, UsageError } from './commands.ts'
import { OPERATOR_CONTEXT, operatorName } from './operator.ts'
import { type OperatorDatabase, withDatabase } from './operator-database.ts'
import { listByHand } from './restored/by-hand.ts'
import { describeRestored, presentRestored, type Restored } from './restored/report.ts'

/** `restored --backup-of <time>`: makes a database safe that was restored from a backup. */
export async function restored(args: readonly string[]): Promise<void> {
  const call = parseCall('restored', args)
  const backupOf = readTime(call.values['backup-of'])
  await withDatabase((context) => run(context, call, backupOf))
}

async function run(context: OperatorDatabase, { flags }: Call, backupOf: Date): Promise<void> {
  const apply = flags.has('yes')
  const trustsRedis = !flags.has('all')
  const later = trustsRedis ? await findLaterUse(context, backupOf) : null
  if (later) {
    throw new Error(
      `the newest entry is of ${later.toISOString()}. If no node has run since the restore, the backup is of that time ` +
        'or later: name it. If one has, what Redis knows may come from the backup: run this again with --all',
    )
  }
  const done = await restore(context, { backupOf, trustsRedis, apply })
  console.log(flags.has('json') ? JSON.stringify(presentRestored(done)) : describeRestored(done))
  if (!apply) throw new Error('nothing was changed; confirm with --yes')
}

async function restore(
  { config, transact, ...database }: OperatorDatabase,
  options: { backupOf: Date; trustsRedis: boolean; apply: boolean },
): Promise<Restored> {
  const { backupOf, apply } = options
  const { db } = database
  const silent = { info() {}, warn() {}, explain() {} }
  const logins = createRedisLogins(config.redis, silent)
  const { redis, close } = openRedis(config.redis, silent, { ca: config.redisCa, logins })
  try {
    await firstContact(redis)
    await redis.ping().catch((cause) => {
      throw new Error('Redis is unavailable: start it first, empty if its data are lost', { cause })
    })
    const keys = await distrustKeysOf(
      { transact, secrets: createSecrets(config.appSecrets), alg: config.accessToken.alg },
      backupOf,
      { apply },
    )
    const voided = apply
      ? await transact(async (tx) => ({
          links: await voidLinks(tx, backupOf),
          factorResets: await withdrawUntil(tx, backupOf),
          mails: await giveUpQueued(tx, backupOf, 'backup_restored'),
        }))
      : undefined
    const stores = { db, transact, redis }
    const judging = { ...options, incarnation: config.redisIncarnation }
    const sessions = await judgeSessions(stores, judging)
    const withdrawn = sessions.known.filter(({ reason }) => reason === 'grant_withdrawn')
    if (apply) {
      // Before any session ends: a run that is repeated would not find the withdrawals again.
      await transact(async (tx) => {
        for (const { userId, clientId } of withdrawn) await withdrawGrant(tx, userId, clientId)
      })
      await endUncertain(stores, judging)
    }
    const byHand = await listByHand(
      { db, users: openUsers({ clock: systemClock }) },
      sessions.known,
      backupOf,
    )
    if (apply) {
      const monitor = { clock: systemClock, log: console, metrics: createMetrics() }
      const events = openEvents({ ...database, ...monitor, findOwners })
      const event = { type: 'backup_restore', outcome: 'success', actor: operatorName() } as const
      await events.record(db, event, OPERATOR_CONTEXT)
    }
    return { backupOf, sessions, keys: keys.length, grants: withdrawn.length, voided, byHand }
  } finally {
    close()
  }
}

function readTime(text: string | undefined): Date {
  if (text === undefined) throw new UsageError('--backup-of is missing: the time at which the backup began')
  const time = new Date(text)
  // A time without a zone would be that of this machine.
  if (Number.isNaN(time.getTime()) || !/T.*(Z|[+-]\d\d:?\d\d)$/.test(text)) {
    throw new UsageError('--backup-of must be a time with its zone, such as 2026-11-29T03:00:00Z')
  }
  if (time.getTime() > Date.now()) throw new UsageError('--backup-of is in the future')
  return time
}
