import { luaArguments, luaReadFields, TOMBSTONE_ARGUMENTS } from './wire.ts'

/**
 * Makes a family cold, because the ledger has rotated it, and voids its mark. A tombstone stays.
 *
 * KEYS[1] the family's hash
 */
export const INVALIDATE = `
local key = KEYS[1]
${luaReadFields('family', ['ended', 'incarnation'])}
if family.incarnation and (not family.ended or family.ended == '') then redis.call('HSET', key, 'incarnation', '') end
return 1
`

/**
 * Writes a tombstone that lasts until the family's absolute expiry. The first reason stays.
 *
 * KEYS[1] the family's hash
 * ARGV    TOMBSTONE_ARGUMENTS of `wire.ts`
 */
export const TOMBSTONE = `
local key = KEYS[1]
${luaArguments(TOMBSTONE_ARGUMENTS)}
local known = redis.call('HGET', key, 'ended')
if known and known ~= '' then reason = known end
redis.call('DEL', key)
redis.call('HSET', key, 'ended', reason, 'recorded', '1')
redis.call('PEXPIREAT', key, absolute_expires_at)
return 1
`
