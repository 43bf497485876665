// The statements that make the rows. Everything is computed from the number of a row, so that the benchmark can compute
// it too, and each step of growth only adds rows.
import pg from 'pg'
import { FIRST_PARTY_CLIENT } from '../../src/core/clients/clients.ts'
import { FIRST_NAMES, LAST_NAMES, USER_AGENTS } from './names.ts'

/** The number of accounts among so many sessions. */
export const usersFor = (sessions: number) => Math.ceil(sessions / 5)

/** The numbers of sessions before and after. */
export interface Step {
  from: number
  to: number
}

export interface Planted {
  /** The hash of the password of every account. */
  passwordHash: string
}

const RESOURCE = 'https://api.example.test'

/** The MD5 of this and the number of a session is its family. */
export const FAMILY_LABEL = 'family:'

// STABLE and not IMMUTABLE, so that Postgres puts the bodies into the statements. Ids are UUIDs of version 7, as the
// server makes them: their order decides how well the indexes are filled.
export const FUNCTIONS = `
  CREATE OR REPLACE FUNCTION pg_temp.uuid_at(at timestamptz, label text) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(label), 1, 3) || '8'
      || substr(md5(label), 4, 15))::uuid $$;
  CREATE OR REPLACE FUNCTION pg_temp.share(label text) RETURNS float8 LANGUAGE sql STABLE AS $$
    SELECT ('x' || substr(md5(label), 1, 8))::bit(32)::bigint / 4294967296.0::float8 $$;
  CREATE OR REPLACE FUNCTION pg_temp.hash(label text) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(label::bytea) $$;
  CREATE OR REPLACE FUNCTION pg_temp.ip(label text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT '10.' || ('x' || substr(md5(label), 1, 2))::bit(8)::int || '.' || ('x' || substr(md5(label), 3, 2))::bit(8)::int
      || '.9' $$;
  CREATE OR REPLACE FUNCTION pg_temp.registered(u bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT date_trunc('day', now()) - interval '730 days' + u * interval '15 seconds' $$;
  CREATE OR REPLACE FUNCTION pg_temp.account(u bigint) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT pg_temp.uuid_at(pg_temp.registered(u), 'user:' || u) $$`

/** One of the values, by a share from 0 to 1. */
const pick = (values: readonly string[], share: string) =>
  `(ARRAY[${values.map(pg.escapeLiteral).join(',')}])[1 + floor(${share} * ${values.length})::int]`

/** Columns that others need; OFFSET 0 keeps Postgres from computing one again for each use. */
const computed = (...columns: string[]) => `LATERAL (SELECT ${columns.join(', ')} OFFSET 0)`

const userNumbers = ({ from, to }: Step) =>
  `generate_series(${usersFor(from)}::bigint, ${usersFor(to) - 1}::bigint) u`

/** Users with devices; of twenty, one has an authenticator app, one a passkey, and one a mailed link. */
export function accounts(step: Step, { passwordHash }: Planted): string[] {
  const users = userNumbers(step)
  const names = computed(
    'pg_temp.registered(u) AS at',
    `${pick(FIRST_NAMES, "pg_temp.share('first:' || u)")} AS first`,
    `${pick(LAST_NAMES, "pg_temp.share('last:' || u)")} AS last`,
  )
  return [
    `INSERT INTO users (id, email, email_verified_at, name, password_hash, created_at, updated_at)
     SELECT pg_temp.account(u), lower(first || '.' || last) || '.' || u || '@mail' || u % 40 || '.test', at,
       first || ' ' || last, ${pg.escapeLiteral(passwordHash)}, at, at
     FROM ${users}, ${names} named`,
    `INSERT INTO known_devices (user_id, device_hash, created_at, last_used_at)
     SELECT pg_temp.account(u), pg_temp.hash('device:' || u), pg_temp.registered(u),
       now() - pg_temp.share('device:' || u) * interval '300 days' FROM ${users}`,
    `INSERT INTO totp_factors (user_id, sealed_secret, confirmed_at, created_at)
     SELECT pg_temp.account(u), pg_temp.hash('totp:' || u), now(), now() FROM ${users} WHERE u % 20 = 7`,
    `INSERT INTO recovery_codes (id, user_id, code_hash, created_at)
     SELECT pg_temp.uuid_at(now(), 'code:' || u || ':' || i), pg_temp.account(u),
       pg_temp.hash('code:' || u || ':' || i), now()
     FROM ${users}, generate_series(1, 10) i WHERE u % 20 = 7`,
    `INSERT INTO passkeys (id, user_id, credential_id, public_key, counter, transports, name, backed_up, created_at)
     SELECT pg_temp.uuid_at(now(), 'passkey:' || u), pg_temp.account(u), pg_temp.hash('passkey:' || u),
       pg_temp.hash('key:' || u), 0, '{internal}', 'Passkey', true, now() FROM ${users} WHERE u % 20 = 9`,
    `INSERT INTO one_time_tokens (id, purpose, token_hash, user_id, password_version, expires_at, created_at)
     SELECT pg_temp.uuid_at(now(), 'link:' || u), 'verify_email', pg_temp.hash('link:' || u), pg_temp.account(u), 1,
       now() + pg_temp.share('link:' || u) * interval '1 day', now() FROM ${users} WHERE u % 20 = 11`,
  ]
}

/**
 * Sessions of 90 days that began within the last 89, or that many days earlier, in the order of their times: a user's
 * five are far apart. A third has ended and been written to Redis; the others were used within the last 13 days. A tenth
 * are those of third parties, each below the session of its user before it.
 */
export function sessions({ from, to }: Step, daysEarlier = 0): string {
  const users = usersFor(to) - usersFor(from)
  const end = `(now() - interval '${daysEarlier} days')`
  const start = computed(
    `${end} - interval '89 days' * (1 - (n - ${from}) / ${to - from}::float8) AS began`,
    `${usersFor(from)} + (n - ${from}) % ${users} AS u`,
    `pg_temp.share('use:' || n) AS share`,
    'n % 3 = 0 AS ended',
    `n % 10 = 1 AND n - ${from} >= ${users} AS granted`,
  )
  const before = `${end} - interval '89 days' * (1 - (n - ${from} - ${users}) / ${to - from}::float8)`
  const use = computed(`CASE WHEN ended THEN began + (${end} - began) * share
    ELSE GREATEST(began, ${end} - interval '13 days' * share) END AS used`)
  return `
    INSERT INTO sessions (id, family_hash, user_id, client_id, transport, scope, amr, user_agent, ip, generation,
      rotated_at, attempt, clean, auth_time, created_at, last_used_at, idle_expires_at, absolute_expires_at, ended_at,
      ended_reason, tombstoned_at, resource, parent_id)
    SELECT pg_temp.uuid_at(began, 'session:' || n), sha256(decode(md5('${FAMILY_LABEL}' || n), 'hex')),
      pg_temp.account(u), CASE WHEN granted THEN 'client_' || n % 100 ELSE '${FIRST_PARTY_CLIENT}' END, CASE WHEN n % 2 = 0 THEN 'body' ELSE 'cookie' END, 'account', '{pwd}',
      ${pick(USER_AGENTS, "pg_temp.share('agent:' || n)")}, pg_temp.ip('ip:' || n), (share * 100)::int, used,
      substr(md5('attempt:' || n), 1, 22), (share * 100)::int, began, began, used,
      LEAST(used + interval '14 days', began + interval '90 days'), began + interval '90 days',
      CASE WHEN ended THEN used END, CASE WHEN ended THEN 'logout' END,
      CASE WHEN ended THEN used + interval '50 milliseconds' END, CASE WHEN granted THEN '${RESOURCE}' END,
      CASE WHEN granted THEN pg_temp.uuid_at(${before}, 'session:' || n - ${users}) END
    FROM generate_series(${from}::bigint, ${to - 1}::bigint) n, ${start} begun, ${use} used_`
}

/** Two audit events for each session, over the last 360 days. */
export function events({ from, to }: Step): string {
  const columns = computed(
    `date_trunc('milliseconds', now() - interval '360 days' * (1 - (e - ${2 * from}) / ${2 * (to - from)}::float8)) AS at`,
    `${usersFor(from)} + e % ${usersFor(to) - usersFor(from)} AS u`,
    `pg_temp.share('event:' || e) AS share`,
  )
  const kind = computed(`CASE WHEN share < 0.6 THEN '{login,success,""}'
    WHEN share < 0.8 THEN '{logout,success,logout}' WHEN share < 0.95 THEN '{login,failure,invalid_credentials}'
    WHEN share < 0.999 THEN '{password_change,success,""}' ELSE '{refresh,failure,reuse_detected}' END::text[] AS kind`)
  return `
    INSERT INTO audit_events (id, at, type, outcome, reason, user_id, session_id, ip, user_agent, request_id)
    SELECT pg_temp.uuid_at(at, 'event:' || e), at, kind[1], kind[2], nullif(kind[3], ''), pg_temp.account(u),
      pg_temp.uuid_at(at, 'of:' || e), pg_temp.ip('event:' || e), ${pick(USER_AGENTS, 'share')},
      pg_temp.uuid_at(at, 'request:' || e)::text
    FROM generate_series(${2 * from}::bigint, ${2 * to - 1}::bigint) e, ${columns} dated, ${kind} of`
}

/** What third parties leave behind: what users allow them, codes that were used, devices that asked, notices of ends. */
export function thirdParties(step: Step): string[] {
  const users = userNumbers(step)
  const recent = computed("now() - pg_temp.share('asked:' || u) * interval '10 minutes' AS at")
  return [
    `INSERT INTO grants (user_id, client_id, resource, scopes, created_at, updated_at)
     SELECT pg_temp.account(u), 'client_' || u % 100, '${RESOURCE}', '{read}', now(), now()
     FROM ${users} WHERE u % 2 = 0`,
    `INSERT INTO used_codes (hash, session_id, expires_at)
     SELECT pg_temp.hash('code:' || u), pg_temp.uuid_at(now(), 'code:' || u),
       now() - pg_temp.share('code:' || u) * interval '20 hours' FROM ${users} WHERE u % 10 = 3`,
    `INSERT INTO device_authorizations (id, client_id, device_code_hash, user_code_hash, resource, scope, network, ip,
       interval, created_at, expires_at, amr)
     SELECT pg_temp.uuid_at(at, 'device:' || u), 'client_' || u % 100, pg_temp.hash('device code:' || u),
       pg_temp.hash('user code:' || u), '${RESOURCE}', 'read', pg_temp.ip('device:' || u), pg_temp.ip('device:' || u), 5, at,
       at + interval '10 minutes', '{}'
     FROM ${users}, ${recent} dated WHERE u % 10 = 5`,
  ]
}

/** Registrations that nobody finished, their mails, and mailed links that were used. */
export function registrations(step: Step): string[] {
  const users = userNumbers(step)
  const today = computed("now() - pg_temp.share('registered:' || u) * interval '20 hours' AS at")
  return [
    `INSERT INTO registrations (id, email, password_hash, token_hash, link_hash, mailed_at, ip, created_at, expires_at)
     SELECT pg_temp.uuid_at(at, 'registration:' || u), 'new.' || u || '@example.test', 'x',
       pg_temp.hash('registration:' || u), pg_temp.hash('new link:' || u), at, pg_temp.ip('new:' || u), at,
       at + interval '1 day'
     FROM ${users}, ${today} dated WHERE u % 10 = 1`,
    `INSERT INTO registration_mails (id, email, client, due_at, sent_at)
     SELECT pg_temp.uuid_at(at, 'due:' || u), 'new.' || u || '@example.test', pg_temp.ip('new:' || u), at, at
     FROM ${users}, ${today} dated WHERE u % 10 = 1`,
    `INSERT INTO used_tokens (token_hash, purpose, user_id, expires_at)
     SELECT pg_temp.hash('used:' || u), 'verify_email', pg_temp.account(u), at + interval '1 day'
     FROM ${users}, ${today} dated WHERE u % 10 = 1`,
  ]
}

/** What sign-ins leave behind besides: counts of wrong guesses, mails that were sent, tickets, addresses that bounced. */
export function leftovers(step: Step): string[] {
  const users = userNumbers(step)
  return [
    `INSERT INTO guess_counters (account, bucket, failures, resets_at, updated_at)
     SELECT pg_temp.hash('guess:' || u), CASE WHEN lasts THEN 'password:lasting'
         ELSE 'password:' || pg_temp.ip('guess:' || u) END, 3, CASE WHEN NOT lasts THEN now() END,
       now() - pg_temp.share('guess:' || u) * CASE WHEN lasts THEN interval '390 days' ELSE interval '20 hours' END
     FROM ${users}, ${computed('u % 20 = 3 AS lasts')} kind WHERE u % 10 = 3`,
    `INSERT INTO outbox_messages (id, template, recipient, sealed, attempts, next_attempt_at, sent_at, gave_up_at,
       created_at)
     SELECT pg_temp.uuid_at(at, 'mail:' || u), 'new_device', 'user.' || u || '@example.test', '', 1, at,
       CASE WHEN u % 50 <> 0 THEN at END, CASE WHEN u % 50 = 0 THEN at END, at
     FROM ${users}, ${computed("now() - pg_temp.share('mail:' || u) * interval '6 days' AS at")} dated
     WHERE u % 2 = 0`,
    `INSERT INTO spent_tickets (hash, expires_at)
     SELECT pg_temp.hash('ticket:' || u), now() - pg_temp.share('ticket:' || u) * interval '20 hours'
     FROM ${users} WHERE u % 20 = 5`,
    `INSERT INTO mail_suppressions (address, reason, at)
     SELECT 'bounced.' || u || '@example.test', CASE WHEN u % 300 = 1 THEN 'lifted'
         WHEN u % 200 = 1 THEN 'complained' ELSE 'bounced' END,
       now() - pg_temp.share('bounce:' || u) * interval '25 days' FROM ${users} WHERE u % 100 = 1`,
  ]
}
