import { Prisma } from '../../platform/generated/client.ts'

/**
 * The beginning of a password hash, up to and including what decides its cost: `$2b$12$`, `$argon2id$v=19$m=…,t=…,p=…$`,
 * `pbkdf2_sha256$600000$`. The expression of the index `users_hash_kind_idx`, so it must not be changed alone.
 */
const KIND = Prisma.sql`
  (substring(password_hash, '^(?:[$]?[^$]*[$](?:v=[0-9]+[$])?[^$]*[$]|AQ.{10})') COLLATE "C")`

// More than anybody has: it bounds the work if the table holds what are no hashes.
const MAX_KINDS = 100

/** SQL: an array of the kinds of password hash in the table, each found with one look into the index. */
export const selectHashKinds = Prisma.sql`ARRAY(
  WITH RECURSIVE kinds AS (
    (SELECT ${KIND} AS kind FROM users WHERE ${KIND} IS NOT NULL ORDER BY ${KIND} LIMIT 1)
    UNION ALL
    SELECT (SELECT ${KIND} FROM users WHERE ${KIND} > kinds.kind ORDER BY ${KIND} LIMIT 1)
    FROM kinds WHERE kinds.kind IS NOT NULL
  ) SELECT kind FROM kinds WHERE kind IS NOT NULL LIMIT ${Prisma.raw(`${MAX_KINDS}`)})`
