import pg from 'pg'
import { FIRST_NAMES, LAST_NAMES, USER_AGENTS } from './names.ts'

/** How many rows a database of this many sessions has. */
export const usersFor = (sessions: number) => Math.ceil(sessions / 5)

/** Whose password every planted account has. */
export interface Planted {
  passwordHash: string
}

/** The last rows to add, and the rows that are there. Numbers of sessions. */
export interface Step {
  from: number
  to: number
}

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
      inTurn(one, accounts(step, planted)),
      inTurn(two, [sessions(step), ...leftovers(step)]),
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

/** The secret of session number `n`, as the generator makes it. */
export const FAMILY_LABEL = 'family:'

const SPAN_DAYS = 89

// `STABLE` and not `IMMUTABLE`, so that Postgres puts their bodies into the statements. OFFSET 0 keeps it from computing
// a column once for each use of it. Ids are UUIDs of version 7, as the server makes them: their order, and so the shape of each index, matters.
const FUNCTIONS = `
  CREATE OR REPLACE FUNCTION pg_temp.uuid_at(at timestamptz, label text) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(label), 1, 3) || '8'
      || substr(md5(label), 4, 15))::uuid $$;
  CREATE OR REPLACE FUNCTION pg_temp.share(label text) RETURNS float8 LANGUAGE sql STABLE AS $$
    SELECT ('x' || substr(md5(label), 1, 8))::bit(32)::bigint / 4294967296.0::float8 $$;
  CREATE OR REPLACE FUNCTION pg_temp.registered(u bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT date_trunc('day', now()) - interval '730 days' + u * interval '15 seconds' $$;
  CREATE OR REPLACE FUNCTION pg_temp.account(u bigint) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT pg_temp.uuid_at(pg_temp.registered(u), 'user:' || u) $$`

const list = (values: readonly string[]) =>
  `(ARRAY[${values.map((value) => pg.escapeLiteral(value)).join(',')}])`
const pick = (values: readonly string[], share: string) =>
  `${list(values)}[1 + floor(${share} * ${values.length})::int]`
const address = (label: string) =>
  `'10.' || floor(pg_temp.share(${label}) * 65536)::int / 256 || '.' || floor(pg_temp.share(${label}) * 65536)::int % 256 || '.9'`

function accounts({ from, to }: Step, { passwordHash }: Planted): string[] {
  const series = `generate_series(${usersFor(from)}::bigint, ${usersFor(to) - 1}::bigint) u`
  return [
    `INSERT INTO users (id, email, email_verified_at, name, password_hash, created_at, updated_at)
     SELECT pg_temp.account(u), lower(first || '.' || last) || '.' || u || '@mail' || u % 40 || '.test', at, first || ' ' || last,
       ${pg.escapeLiteral(passwordHash)}, at, at
     FROM ${series}, LATERAL (SELECT pg_temp.registered(u) AS at,
       ${pick(FIRST_NAMES, "pg_temp.share('first:' || u)")} AS first,
       ${pick(LAST_NAMES, "pg_temp.share('last:' || u)")} AS last
       OFFSET 0) made`,
    `INSERT INTO known_devices (user_id, device_hash, created_at, last_used_at)
     SELECT pg_temp.account(u), sha256(('device:' || u)::bytea), pg_temp.registered(u),
       now() - pg_temp.share('device:' || u) * interval '300 days' FROM ${series}`,
    `INSERT INTO totp_factors (user_id, sealed_secret, confirmed_at, created_at)
     SELECT pg_temp.account(u), sha256(('totp:' || u)::bytea), now(), now() FROM ${series} WHERE u % 20 = 7`,
    `INSERT INTO recovery_codes (id, user_id, code_hash, created_at)
     SELECT pg_temp.uuid_at(now(), 'code:' || u || ':' || i), pg_temp.account(u), sha256(('code:' || u || ':' || i)::bytea), now()
     FROM ${series}, generate_series(1, 10) i WHERE u % 20 = 7`,
    `INSERT INTO passkeys (id, user_id, credential_id, public_key, counter, transports, name, backed_up, created_at)
     SELECT pg_temp.uuid_at(now(), 'passkey:' || u), pg_temp.account(u), sha256(('passkey:' || u)::bytea),
       sha256(('key:' || u)::bytea), 0, '{internal}', 'Passkey', true, now() FROM ${series} WHERE u % 20 = 9`,
    `INSERT INTO one_time_tokens (id, purpose, token_hash, user_id, password_version, expires_at, created_at)
     SELECT pg_temp.uuid_at(now(), 'link:' || u), 'verify_email', sha256(('link:' || u)::bytea), pg_temp.account(u), 1,
       now() + pg_temp.share('link:' || u) * interval '1 day', now() FROM ${series} WHERE u % 20 = 11`,
  ]
}

function leftovers({ from, to }: Step): string[] {
  const series = `generate_series(${usersFor(from)}::bigint, ${usersFor(to) - 1}::bigint) u`
  const events = `generate_series(${2 * from}::bigint, ${2 * to - 1}::bigint) e`
  const share = "pg_temp.share('event:' || e)"
  return [
    `INSERT INTO audit_events (id, at, type, outcome, reason, user_id, session_id, ip, user_agent, request_id)
     SELECT pg_temp.uuid_at(at, 'event:' || e), at, kind[1], kind[2], nullif(kind[3], ''), pg_temp.account(u),
       pg_temp.uuid_at(at, 'of:' || e), ${address("'event:' || e")}, ${pick(USER_AGENTS, share)},
       pg_temp.uuid_at(at, 'request:' || e)::text
     FROM ${events}, LATERAL (SELECT date_trunc('milliseconds', now() - interval '360 days' * (1 - (e - ${2 * from}) / ${2 * (to - from)}::float8)) AS at,
       ${usersFor(from)} + e % ${usersFor(to) - usersFor(from)} AS u,
       CASE WHEN ${share} < 0.6 THEN '{login,success,""}' WHEN ${share} < 0.8 THEN '{logout,success,logout}'
         WHEN ${share} < 0.95 THEN '{login,failure,invalid_credentials}' WHEN ${share} < 0.999 THEN '{password_change,success,""}'
         ELSE '{refresh,failure,reuse_detected}' END::text[] AS kind
       OFFSET 0) made`,
    `INSERT INTO guess_counters (account, bucket, failures, resets_at, updated_at)
     SELECT sha256(('guess:' || u)::bytea), CASE WHEN u % 20 = 3 THEN 'password:lasting' ELSE 'password:' || ${address("'guess:' || u")} END,
       3, CASE WHEN u % 20 = 3 THEN NULL ELSE now() END, now() - pg_temp.share('guess:' || u) * CASE WHEN u % 20 = 3 THEN interval '390 days' ELSE interval '20 hours' END
     FROM ${series} WHERE u % 10 = 3`,
    `INSERT INTO outbox_messages (id, template, recipient, sealed, attempts, next_attempt_at, sent_at, gave_up_at, created_at)
     SELECT pg_temp.uuid_at(at, 'mail:' || u), 'new_device', 'user.' || u || '@example.test', '', 1, at,
       CASE WHEN u % 50 = 0 THEN NULL ELSE at END, CASE WHEN u % 50 = 0 THEN at END, at
     FROM ${series}, LATERAL (SELECT now() - pg_temp.share('mail:' || u) * interval '6 days' AS at
       OFFSET 0) made WHERE u % 2 = 0`,
    `INSERT INTO spent_tickets (hash, expires_at)
     SELECT sha256(('ticket:' || u)::bytea), now() - pg_temp.share('ticket:' || u) * interval '20 hours' FROM ${series} WHERE u % 20 = 5`,
    `INSERT INTO mail_suppressions (address, reason, at)
     SELECT 'bounced.' || u || '@example.test', CASE WHEN u % 300 = 1 THEN 'lifted' WHEN u % 200 = 1 THEN 'complained' ELSE 'bounced' END,
       now() - pg_temp.share('bounce:' || u) * interval '25 days' FROM ${series} WHERE u % 100 = 1`,
  ]
}

/**
 * Sessions of 90 days that began within the last 89, or that many days earlier, in the order of their times: a user's
 * five are far apart. A third has ended and been written to Redis; the others were used within the last 13 days.
 */
function sessions({ from, to }: Step, daysEarlier = 0): string {
  const users = usersFor(to) - usersFor(from)
  return `
    INSERT INTO sessions (id, family_hash, user_id, client_id, transport, scope, amr, user_agent, ip, generation, rotated_at,
      attempt, clean, auth_time, created_at, last_used_at, idle_expires_at, absolute_expires_at, ended_at, ended_reason, tombstoned_at)
    SELECT pg_temp.uuid_at(began, 'session:' || n), sha256(decode(md5('${FAMILY_LABEL}' || n), 'hex')), pg_temp.account(u),
      'first-party', CASE WHEN n % 2 = 0 THEN 'body' ELSE 'cookie' END, 'account', '{pwd}',
      ${pick(USER_AGENTS, "pg_temp.share('agent:' || n)")}, ${address("'ip:' || n")}, (share * 100)::int, used,
      substr(md5('attempt:' || n), 1, 22), (share * 100)::int, began, began, used, LEAST(used + interval '14 days', began + interval '90 days'),
      began + interval '90 days',
      CASE WHEN n % 3 = 0 THEN used END, CASE WHEN n % 3 = 0 THEN 'logout' END,
      CASE WHEN n % 3 = 0 THEN used + interval '50 milliseconds' END
    FROM generate_series(${from}::bigint, ${to - 1}::bigint) n,
      LATERAL (SELECT now() - interval '${daysEarlier} days' - interval '${SPAN_DAYS} days' * (1 - (n - ${from}) / ${to - from}::float8) AS began,
        ${usersFor(from)} + (n - ${from}) % ${users} AS u, pg_temp.share('use:' || n) AS share
       OFFSET 0) made,
      LATERAL (SELECT now() - interval '${daysEarlier} days' AS until
       OFFSET 0) bound,
      LATERAL (SELECT CASE WHEN n % 3 = 0 THEN began + (until - began) * share
        ELSE GREATEST(began, until - interval '13 days' * share) END AS used
       OFFSET 0) then_`
}
