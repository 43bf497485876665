import { randomFillSync } from 'node:crypto'

// A call of the generator costs more than the bytes, so one call serves many requests.
const pool = Buffer.alloc(4_096)
let used = pool.length

const ID_BYTES = 16

/** 16 random bytes as base64url, for an id on a hot path. Keys and credentials come from `randomBytes`. */
export function randomId(): string {
  if (used + ID_BYTES > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const end = used + ID_BYTES
  const id = pool.toString('base64url', used, end)
  pool.fill(0, used, end)
  used = end
  return id
}
