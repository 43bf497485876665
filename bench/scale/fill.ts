import pg from 'pg'
import {
  accounts,
  events,
  FUNCTIONS,
  leftovers,
  type Planted,
  registrations,
  type Step,
  sessions,
  thirdParties,
} from './rows.ts'

// Secondary indexes are dropped and created again: filling them row by row takes several times as long.
const TABLES = [
  'users',
  'sessions',
  'audit_events',
  'known_devices',
  'guess_counters',
  'outbox_messages',
  'one_time_tokens',
  'recovery_codes',
  'passkeys',
  'spent_tickets',
  'grants',
  'used_codes',
  'device_authorizations',
  'registrations',
  'registration_mails',
  'used_tokens',
]

/** Grows a migrated database from one number of sessions to another, with everything that accounts leave behind. */
export async function fill(url: string, step: Step, planted: Planted): Promise<void> {
  const settings =
    '-c session_replication_role=replica -c synchronous_commit=off -c maintenance_work_mem=1GB -c work_mem=256MB'
  const [one, two] = [0, 1].map(() => new pg.Client({ connectionString: url, options: settings })) as [
    pg.Client,
    pg.Client,
  ]
  await Promise.all([one.connect(), two.connect()])
  try {
    for (const client of [one, two]) await client.query(FUNCTIONS)
    const indexes = await dropIndexes(one)
    await Promise.all([
      inTurn(one, [...accounts(step, planted), events(step)]),
      inTurn(two, [sessions(step), ...leftovers(step), ...registrations(step), ...thirdParties(step)]),
    ])
    await Promise.all([
      inTurn(
        one,
        indexes.filter((_, at) => at % 2 === 0),
      ),
      inTurn(
        two,
        indexes.filter((_, at) => at % 2 === 1),
      ),
    ])
    await one.query('VACUUM (ANALYZE)')
    await one.query('CHECKPOINT')
  } finally {
    await Promise.all([one.end(), two.end()])
  }
}

/** Adds sessions whose absolute expiry is so long ago that retention deletes them, in the order of their times. */
export async function plantExpired(url: string, from: number, count: number): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    options: '-c session_replication_role=replica -c synchronous_commit=off',
  })
  await client.connect()
  try {
    await client.query(FUNCTIONS)
    await client.query(sessions({ from, to: from + count }, 150))
    await client.query('ANALYZE sessions')
    await client.query('CHECKPOINT')
  } finally {
    await client.end()
  }
}

async function inTurn(client: pg.Client, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await client.query(statement)
}

/** Drops the secondary indexes. @returns the statements that create them again. */
async function dropIndexes(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string; definition: string }>(
    `SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i
     WHERE i.indrelid = ANY ($1::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)`,
    [TABLES],
  )
  for (const { name } of rows) await client.query(`DROP INDEX ${name}`)
  return rows.map(({ definition }) => definition)
}
