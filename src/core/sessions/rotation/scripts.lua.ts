import { INCARNATION } from '../../../platform/incarnation.lua.ts'
import { ATTEMPT_MS, CLEAN_FOR_CREDIT, KEPT_ATTEMPTS, MAX_CREDITS, MAX_REISSUES } from './decide.ts'
import {
  FAMILY_FIELDS,
  ISSUED_REPLY,
  luaArguments,
  luaLines,
  luaReadFields,
  MERGE_ARGUMENTS,
  ROTATE_ARGUMENTS,
  TOMBSTONE_ARGUMENTS,
} from './wire.ts'

// Each script reads Redis's clock and incarnation itself, so that no other clock and no failover can race with it.
const PRELUDE = `${INCARNATION}
local key = KEYS[1]
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
`

/**
 * Implements `decide.ts`, atomically on the stored family.
 *
 * KEYS[1] the family's hash
 * ARGV    ROTATE_ARGUMENTS of `wire.ts`. `fallback_incarnation`: for a server without an id ('' if unknown: then
 *         always cold). `merge`: the id of the caller's merge ('' without one). `deadline`: the latest time at which
 *         this may run (ms). `waited_ms`: how long ago the request arrived.
 * Returns {'late'} | {'cold'} | {'ended', reason} | {'superseded'}
 *       | {'rotate' | 'fast_forward' | 'reissue', ISSUED_REPLY of `wire.ts` as lines}
 *       | {'reuse', claims}, repeated for every call until TOMBSTONE reports that the ledger has recorded it
 */
export const ROTATE = `${PRELUDE}
${luaArguments(ROTATE_ARGUMENTS)}
local now = now_ms()
if now > tonumber(deadline) then return { 'late' } end
${luaReadFields('family', FAMILY_FIELDS)}
if family.ended and family.ended ~= '' then
  if family.recorded == '0' then return { 'reuse', family.claims } end
  return { 'ended', family.ended }
end
if not family.generation or family.incarnation == '' or family.incarnation ~= incarnation(fallback_incarnation) then
  return { 'cold' }
end
if family.merge and family.merge ~= '' then
  if family.merge ~= merge then return { 'cold' } end
  redis.call('HSET', key, 'merge', '')
end
presented, grace_ms, idle_ttl_ms = tonumber(presented), tonumber(grace_ms), tonumber(idle_ttl_ms)
local generation, rotated_at, reissues = tonumber(family.generation), tonumber(family.rotated_at), tonumber(family.reissues)
local credits, clean, attempts = tonumber(family.credits), tonumber(family.clean), family.attempts or ''
local idle_expires_at, absolute_expires_at = tonumber(family.idle_expires_at), tonumber(family.absolute_expires_at)
local binding, claims = family.binding, family.claims
if now >= absolute_expires_at or now >= idle_expires_at then return { 'ended', 'expired' } end
local behind = generation - presented
if behind <= 0 then
  local ahead = behind < 0
  if credits < ${MAX_CREDITS} and reissues == 0 and not ahead then
    clean = clean + 1
    if clean >= ${CLEAN_FOR_CREDIT} then credits = credits + 1; clean = 0 end
  end
  generation, rotated_at = presented + 1, now
  idle_expires_at = math.min(now + idle_ttl_ms, absolute_expires_at)
  local kept = { attempt == '' and '-' or attempt }
  for word in string.gmatch(ahead and '' or attempts, '%S+') do
    if #kept < ${KEPT_ATTEMPTS} then kept[#kept + 1] = word end
  end
  attempts = table.concat(kept, ' ')
  redis.call('HSET', key, 'generation', generation, 'rotated_at', string.format('%.0f', now), 'reissues', 0,
    'credits', credits, 'clean', clean, 'attempts', attempts, 'idle_expires_at', string.format('%.0f', idle_expires_at))
  redis.call('PEXPIREAT', key, string.format('%.0f', idle_expires_at))
  return { ahead and 'fast_forward' or 'rotate', ${luaLines(ISSUED_REPLY)} }
end
local age = now - tonumber(waited_ms) - rotated_at
local in_grace = math.abs(age) <= grace_ms
local known, place = nil, 0
for word in string.gmatch(attempts, '%S+') do
  place = place + 1
  if place == behind then known = word end
end
local same_attempt = attempt ~= '' and attempt == known and age <= ${ATTEMPT_MS}
if behind == 1 then
  local same_key = binding ~= '' and proven == binding
  local first = reissues == 0
  local reissue = same_attempt or same_key
  if not reissue and in_grace and reissues < ${MAX_REISSUES} and (not first or credits > 0) then
    if first then credits = credits - 1 end
    redis.call('HSET', key, 'reissues', reissues + 1, 'credits', credits)
    reissue = true
  end
  if reissue then
    return { 'reissue', ${luaLines(ISSUED_REPLY)} }
  end
end
if in_grace or same_attempt then return { 'superseded' } end
redis.call('HSET', key, 'ended', 'reuse_detected', 'recorded', '0')
redis.call('PEXPIREAT', key, string.format('%.0f', absolute_expires_at))
return { 'reuse', claims }
`

/**
 * Merges a family from the ledger; the higher generation wins, and a tombstone wins over any merge. The family stays
 * cold until a ROTATE names this merge: before that, the caller checks the ledger again for a revocation.
 *
 * KEYS[1] the family's hash
 * ARGV    MERGE_ARGUMENTS of `wire.ts`. `merge`: an id for this merge. `deadline`: the latest time to run (ms).
 * Returns 'late' | 'ended' | 'merged'
 */
export const MERGE = `${PRELUDE}
${luaArguments(MERGE_ARGUMENTS)}
if now_ms() > tonumber(deadline) then return 'late' end
${luaReadFields('known', [
  'ended',
  'generation',
  'idle_expires_at',
  'reissues',
  'credits',
  'incarnation',
  'merge',
])}
if known.ended and known.ended ~= '' then return 'ended' end
local id = incarnation(fallback_incarnation)
local ahead = (tonumber(known.generation) or -1) - tonumber(generation)
if ahead >= 0 and tonumber(known.idle_expires_at) > tonumber(idle_expires_at) then
  idle_expires_at = known.idle_expires_at
end
-- The lower count of credits wins, so that spent credits stay spent.
redis.call('HSET', key, 'credits', math.min(tonumber(known.credits) or ${MAX_CREDITS}, tonumber(credits)))
if ahead == 0 then
  redis.call('HSET', key, 'reissues', math.max(tonumber(known.reissues), tonumber(reissues)))
elseif ahead < 0 then
  redis.call('HSET', key, 'generation', generation, 'rotated_at', rotated_at, 'reissues', reissues, 'clean', clean,
    'attempts', attempts)
end
if known.incarnation ~= id or known.merge ~= '' then redis.call('HSET', key, 'merge', merge) end
redis.call('HSET', key, 'idle_expires_at', idle_expires_at, 'absolute_expires_at', absolute_expires_at,
  'binding', binding, 'claims', claims, 'incarnation', id)
redis.call('PEXPIREAT', key, idle_expires_at)
return 'merged'
`

/**
 * Marks a family as cold, because the ledger has rotated it. A tombstone stays.
 *
 * KEYS[1] the family's hash
 */
export const INVALIDATE = `
local key = KEYS[1]
${luaReadFields('family', ['ended', 'generation'])}
if family.generation and (not family.ended or family.ended == '') then redis.call('HSET', key, 'incarnation', '') end
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
