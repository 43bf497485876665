import { ATTEMPT_MS, CLEAN_FOR_CREDIT, MAX_CREDITS, MAX_REISSUES } from './decide.ts'

// Each script reads Redis's own clock and run id, so that a clock or a restart cannot race with it.
const PRELUDE = `
local function incarnation(fallback)
  local info = redis.call('INFO', 'server')
  return string.match(info, 'run_id:(%x+)') or fallback
end
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
 *         6 incarnation of a server that has no run id ('' if unknown: then always cold)
 * Returns {'cold'} | {'ended', reason} | {'superseded'}
 *       | {'rotate' | 'adopt' | 'reissue', generation, rotated_at, idle_expires_at, absolute_expires_at, claims}
 *       | {'reuse', claims}, and so for every call until TOMBSTONE tells that the ledger holds it
 */
export const ROTATE = `${PRELUDE}
local key = KEYS[1]
local f = redis.call('HMGET', key, 'ended', 'incarnation', 'generation', 'rotated_at', 'reissues', 'credits',
  'clean', 'attempt', 'idle_expires_at', 'absolute_expires_at', 'binding', 'claims', 'recorded')
if f[1] and f[1] ~= '' then
  if f[13] == '0' then return { 'reuse', f[12] } end
  return { 'ended', f[1] }
end
if not f[3] or f[2] == '' or f[2] ~= incarnation(ARGV[6]) then return { 'cold' } end

local presented, attempt, proven = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local grace, idle_ttl = tonumber(ARGV[4]), tonumber(ARGV[5])
local generation, rotated_at, reissues = tonumber(f[3]), tonumber(f[4]), tonumber(f[5])
local credits, clean = tonumber(f[6]), tonumber(f[7])
local idle, absolute, binding, claims = tonumber(f[9]), tonumber(f[10]), f[11], f[12]
local now = now_ms()
if now >= absolute or now >= idle then return { 'ended', 'expired' } end

local behind = generation - presented
if behind <= 0 then
  local adopted = behind < 0
  if credits < ${MAX_CREDITS} and reissues == 0 and not adopted then
    clean = clean + 1
    if clean >= ${CLEAN_FOR_CREDIT} then credits = credits + 1; clean = 0 end
  end
  generation = presented + 1
  idle = math.min(now + idle_ttl, absolute)
  redis.call('HSET', key, 'generation', generation, 'rotated_at', string.format('%.0f', now), 'reissues', 0,
    'credits', credits, 'clean', clean, 'attempt', attempt, 'idle_expires_at', string.format('%.0f', idle))
  redis.call('PEXPIREAT', key, string.format('%.0f', idle))
  return { adopted and 'adopt' or 'rotate', generation, now, idle, absolute, claims }
end

local age = now - rotated_at
local in_grace = age >= 0 and age <= grace
if behind == 1 then
  local same_attempt = attempt ~= '' and attempt == f[8] and age <= ${ATTEMPT_MS}
  local same_key = binding ~= '' and proven == binding
  if same_attempt or same_key then return { 'reissue', generation, rotated_at, idle, absolute, claims } end
  local first = reissues == 0
  if in_grace and reissues < ${MAX_REISSUES} and (not first or credits > 0) then
    if first then credits = credits - 1 end
    redis.call('HSET', key, 'reissues', reissues + 1, 'credits', credits)
    return { 'reissue', generation, rotated_at, idle, absolute, claims }
  end
end
if in_grace then return { 'superseded' } end
redis.call('HSET', key, 'ended', 'reuse_detected', 'recorded', '0')
redis.call('PEXPIREAT', key, string.format('%.0f', absolute))
return { 'reuse', claims }
`

/**
 * Brings a family up from the ledger, by maximum. A tombstone wins over any merge.
 *
 * KEYS[1] the family's hash
 * ARGV    1 incarnation of a server that has no run id, 2 generation, 3 rotated_at, 4 attempt,
 *         5 idle_expires_at, 6 absolute_expires_at, 7 binding, 8 claims
 * Returns 'ended' or 'merged'
 */
export const MERGE = `${PRELUDE}
local key = KEYS[1]
local f = redis.call('HMGET', key, 'ended', 'generation', 'idle_expires_at')
if f[1] and f[1] ~= '' then return 'ended' end
local idle = ARGV[5]
if f[2] and tonumber(f[2]) >= tonumber(ARGV[2]) then
  if tonumber(f[3]) > tonumber(idle) then idle = f[3] end
else
  redis.call('HSET', key, 'generation', ARGV[2], 'rotated_at', ARGV[3], 'reissues', 0, 'credits', ${MAX_CREDITS},
    'clean', 0, 'attempt', ARGV[4])
end
redis.call('HSET', key, 'idle_expires_at', idle, 'absolute_expires_at', ARGV[6], 'binding', ARGV[7],
  'claims', ARGV[8], 'incarnation', incarnation(ARGV[1]))
redis.call('PEXPIREAT', key, idle)
return 'merged'
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
