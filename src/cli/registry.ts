import type { By, RegistryDeps } from '../core/client-registry/client-registry.ts'
import { userinfoOf } from '../core/clients/clients.ts'
import { openEvents } from '../core/events/events.ts'
import { isProblem } from '../core/problems/problems.ts'
import { findOwners, openSessionLedger } from '../core/sessions/sessions.ts'
import { ensureKey } from '../core/tokens/tokens.ts'
import { systemClock } from '../platform/clock.ts'
import { createMetrics } from '../platform/metrics.ts'
import { createSecrets } from '../platform/secrets.ts'
import { UsageError } from './commands.ts'
import { OPERATOR_CONTEXT, operatorName } from './operator.ts'
import type { OperatorDatabase } from './operator-database.ts'

/** What changes clients and resources from the command line: the same as over HTTP, with Postgres alone. */
export function openRegistry({ config, ...database }: OperatorDatabase): { deps: RegistryDeps; by: By } {
  const clock = systemClock
  const keys = {
    ...database,
    secrets: createSecrets(config.appSecrets),
    alg: config.accessToken.alg,
  }
  const monitor = { clock, log: console, metrics: createMetrics() }
  return {
    deps: {
      ...database,
      clock,
      events: openEvents({ ...database, ...monitor, findOwners }),
      // Running nodes read what ends in the ledger, and update Redis.
      sessions: openSessionLedger(),
      // Running nodes find a new key within a second.
      keyRing: { ensure: (alg, options) => ensureKey(keys, alg, options) },
      ownAudiences: [config.publicUrl, config.accessToken.audience, userinfoOf(config.publicUrl).identifier],
    },
    by: { actor: operatorName(), context: OPERATOR_CONTEXT, isOperator: true },
  }
}

/** Runs a change, and says in the words of the command line why it was refused. `what` is what was not found. */
export async function explained<T>(what: string, change: Promise<T>): Promise<T> {
  return change.catch((error) => {
    if (isProblem(error, 'not_found')) throw new Error(`there is no such ${what}`)
    if (isProblem(error, 'resource_exists')) throw new Error('there is such a resource already')
    if (isProblem(error, 'signing_key_waits'))
      throw new Error(
        `its first key is published, and signs from ${error.members.signs_at}: run this again then`,
      )
    if (isProblem(error, 'validation_failed')) {
      const faults = (error.members.errors ?? []).map(
        ({ pointer, detail }) => `${optionOf(pointer)} ${detail}`,
      )
      throw new UsageError([...new Set(faults)].join('; '))
    }
    throw error
  })
}

const OPTIONS: Record<string, string> = {
  name: 'the name',
  identifier: 'the identifier',
  client_id: 'the client_id',
  auth_method: '--auth',
  grant_types: '--grants',
  token_ttl: '--ttl',
}

/** The option for a member of the HTTP API, as a JSON pointer. */
function optionOf(pointer: string): string {
  const [, member = ''] = pointer.split('/')
  return OPTIONS[member] ?? `--${member.replaceAll('_', '-')}`
}
