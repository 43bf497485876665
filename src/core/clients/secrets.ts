import { timingSafeEqual } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import { type Background, repeat, type Task } from '../../platform/background.ts'
import { hashOpaqueToken, newOpaqueToken } from '../../platform/opaque-token.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Client } from './client.ts'

/** A client has at most this many secrets at once. */
export const MAX_SECRETS = 2

/** A new secret, and what is stored of it. Secret scanners find it by its prefix. */
export function newSecret(now: Date) {
  const secret = `cs1_${newOpaqueToken()}`
  return { secret, row: { id: uuidv7(), hash: hashOpaqueToken(secret), createdAt: now } }
}

/** Checks secrets, and remembers when each was used last. */
export interface SecretChecks extends Background {
  readonly tasks: readonly Task[]
  /** Whether the secret is one of the client's. */
  check(client: Client, secret: string): boolean
}

const FLUSH_MS = 10_000

export function createSecretChecks(
  deps: UsesPlatform<'db' | 'databaseBreaker' | 'clock' | 'log' | 'metrics'>,
): SecretChecks {
  const { db, databaseBreaker, clock } = deps
  let uses = new Map<string, number>()

  async function flush(): Promise<void> {
    if (uses.size === 0 || databaseBreaker.isOpen) return
    const batch = uses
    uses = new Map()
    try {
      await db.$executeRaw`
        UPDATE client_secrets AS s SET last_used_at = to_timestamp(u.at / 1000.0)
        FROM jsonb_to_recordset(${JSON.stringify([...batch].map(([id, at]) => ({ id, at })))}::jsonb)
          AS u(id uuid, at float8)
        WHERE s.id = u.id`
    } catch (error) {
      uses = new Map([...batch, ...uses])
      throw error
    }
  }

  const writer = repeat({
    task: 'client_secret_uses',
    everyMs: FLUSH_MS,
    run: flush,
    failure: { message: 'the last uses of client secrets wait for Postgres' },
    monitor: deps,
  })

  return {
    check(client, secret) {
      const presented = hashOpaqueToken(secret)
      const known = client.secrets.find(({ hash }) => timingSafeEqual(hash, presented))
      if (known) uses.set(known.id, clock.now())
      return known !== undefined
    },
    tasks: writer.tasks,
    start: writer.start,
    async stop() {
      await writer.stop()
      await flush().catch(() => {})
    },
  }
}
