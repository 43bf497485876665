import { INCARNATION } from '../../../platform/incarnation.lua.ts'
import { ATTEMPT_MS, CLEAN_FOR_CREDIT, KEPT_ATTEMPTS, MAX_CREDITS, MAX_REISSUES } from './decide.ts'

// Each script reads Redis's own clock and incarnation, so that no clock and no failover can race with it.
const PRELUDE = `${INCARNATION}
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
`

/**
 * The twin of `decide.ts`, atomically on the stored family.
 *
 * KEYS[1] the family's hash
 * ARGV    1 presented generation, 2 attempt, 3 proven key, 4 grace (ms), 5 idle lifetime (ms),
 *         6 incarnation of a server that has no such id ('' if unknown: then always cold),
 *         7 the caller's merge ('' if it made none), 8 until when this may run (ms),
 *         9 how long ago the request came (ms)
 * Returns {'late'} | {'cold'} | {'ended', reason} | {'superseded'}
 *       | {'rotate' | 'fast_forward' | 'reissue', generation, rotated_at, idle_expires_at, absolute_expires_at, claims,
 *          credits, clean, attempts}
 *       | {'reuse', claims}, and so for every call until TOMBSTONE tells that the ledger holds it
 */
export const ROTATE = `${PRELUDE}
local key = KEYS[1]
local now = now_ms()
if now > tonumber(ARGV[8]) then return { 'late' } end
local f = redis.call('HMGET', key, 'ended', 'incarnation', 'generation', 'rotated_at', 'reissues', 'credits',
  'clean', 'attempts', 'idle_expires_at', 'absolute_expires_at', 'binding', 'claims', 'recorded', 'merge')
if f[1] and f[1] ~= '' then
  if f[13] == '0' then return { 'reuse', f[12] } end
  return { 'ended', f[1] }
end
if not f[3] or f[2] == '' or f[2] ~= incarnation(ARGV[6]) then return { 'cold' } end
if f[14] and f[14] ~= '' then
  if f[14] ~= ARGV[7] then return { 'cold' } end
  redis.call('HSET', key, 'merge', '')
end

local presented, attempt, proven = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local grace, idle_ttl = tonumber(ARGV[4]), tonumber(ARGV[5])
local generation, rotated_at, reissues = tonumber(f[3]), tonumber(f[4]), tonumber(f[5])
local credits, clean, attempts = tonumber(f[6]), tonumber(f[7]), f[8] or ''
local idle, absolute, binding, claims = tonumber(f[9]), tonumber(f[10]), f[11], f[12]
if now >= absolute or now >= idle then return { 'ended', 'expired' } end

local behind = generation - presented
if behind <= 0 then
  local fastForwarded = behind < 0
  if credits < ${MAX_CREDITS} and reissues == 0 and not fastForwarded then
    clean = clean + 1
    if clean >= ${CLEAN_FOR_CREDIT} then credits = credits + 1; clean = 0 end
  end
  generation = presented + 1
  idle = math.min(now + idle_ttl, absolute)
  local kept = { attempt == '' and '-' or attempt }
  for word in string.gmatch(fastForwarded and '' or attempts, '%S+') do
    if #kept < ${KEPT_ATTEMPTS} then kept[#kept + 1] = word end
  end
  attempts = table.concat(kept, ' ')
  redis.call('HSET', key, 'generation', generation, 'rotated_at', string.format('%.0f', now), 'reissues', 0,
    'credits', credits, 'clean', clean, 'attempts', attempts, 'idle_expires_at', string.format('%.0f', idle))
  redis.call('PEXPIREAT', key, string.format('%.0f', idle))
  return { fastForwarded and 'fast_forward' or 'rotate', generation, now, idle, absolute, claims, credits, clean, attempts }
end

local age = now - tonumber(ARGV[9]) - rotated_at
local in_grace = math.abs(age) <= grace
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
    return { 'reissue', generation, rotated_at, idle, absolute, claims, credits, clean, attempts }
  end
end
if in_grace or same_attempt then return { 'superseded' } end
redis.call('HSET', key, 'ended', 'reuse_detected', 'recorded', '0')
redis.call('PEXPIREAT', key, string.format('%.0f', absolute))
return { 'reuse', claims }
`

/**
 * Brings a family up from the ledger, by maximum. A tombstone wins over any merge. Until a ROTATE names this
 * merge, nobody believes it: its caller looks at the ledger again first, for a revocation that came in between.
 *
 * KEYS[1] the family's hash
 * ARGV    1 incarnation of a server that has no such id, 2 generation, 3 rotated_at, 4 reissues, 5 credits,
 *         6 clean, 7 attempts, 8 idle_expires_at, 9 absolute_expires_at, 10 binding, 11 claims,
 *         12 a name for this merge, 13 until when this may run (ms)
 * Returns 'late' | 'ended' | 'merged'
 */
export const MERGE = `${PRELUDE}
local key = KEYS[1]
if now_ms() > tonumber(ARGV[13]) then return 'late' end
local f = redis.call('HMGET', key, 'ended', 'generation', 'idle_expires_at', 'reissues', 'credits', 'incarnation',
  'merge')
if f[1] and f[1] ~= '' then return 'ended' end
local idle, id = ARGV[8], incarnation(ARGV[1])
local ahead = (tonumber(f[2]) or -1) - tonumber(ARGV[2])
if ahead >= 0 and tonumber(f[3]) > tonumber(idle) then idle = f[3] end
-- A credit that either has spent is spent.
local credits = math.min(tonumber(f[5]) or ${MAX_CREDITS}, tonumber(ARGV[5]))
redis.call('HSET', key, 'credits', credits)
if ahead == 0 then
  redis.call('HSET', key, 'reissues', math.max(tonumber(f[4]), tonumber(ARGV[4])))
elseif ahead < 0 then
  redis.call('HSET', key, 'generation', ARGV[2], 'rotated_at', ARGV[3], 'reissues', ARGV[4], 'clean', ARGV[6],
    'attempts', ARGV[7])
end
if f[6] ~= id or f[7] ~= '' then redis.call('HSET', key, 'merge', ARGV[12]) end
redis.call('HSET', key, 'idle_expires_at', idle, 'absolute_expires_at', ARGV[9], 'binding', ARGV[10],
  'claims', ARGV[11], 'incarnation', id)
redis.call('PEXPIREAT', key, idle)
return 'merged'
`

/**
 * Makes a family come up cold: the ledger has turned it meanwhile. A tombstone stays.
 *
 * KEYS[1] the family's hash
 */
export const INVALIDATE = `
local key = KEYS[1]
local f = redis.call('HMGET', key, 'ended', 'generation')
if f[2] and (not f[1] or f[1] == '') then redis.call('HSET', key, 'incarnation', '') end
return 1
`

/**
 * Leaves a tombstone until the family's absolute expiry. The first reason stays.
 *
 * KEYS[1] the family's hash
 * ARGV    1 reason, 2 absolute_expires_at
 */
export const TOMBSTONE = `
local key = KEYS[1]
local reason = redis.call('HGET', key, 'ended')
if not reason or reason == '' then reason = ARGV[1] end
redis.call('DEL', key)
redis.call('HSET', key, 'ended', reason, 'recorded', '1')
redis.call('PEXPIREAT', key, ARGV[2])
return 1
`
