import { INCARNATION } from '../../../platform/incarnation.lua.ts'
import {
  ATTEMPT_MS,
  CLEAN_FOR_CREDIT,
  KEPT_ATTEMPTS,
  KEPT_TURNS,
  MAX_CREDITS,
  MAX_REISSUES,
} from './decide.ts'
import {
  FAMILY_FIELDS,
  ISSUED_REPLY,
  LEDGER_FAMILY,
  LIVE_REPLY,
  luaArguments,
  luaArgumentTable,
  luaLines,
  luaReadFields,
  MARK_ARGUMENTS,
  ROTATE_ARGUMENTS,
} from './wire.ts'

// Each script reads Redis's clock and incarnation itself, so that no other clock and no failover can race with it.
const PRELUDE = `${INCARNATION}
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(ms) return string.format('%.0f', ms) end
`

// Long enough to read the ledger once.
const MARK_MS = 10_000

/**
 * A mark on a cold family, in its field `merge`: set before the ledger is read, and required when what was read there
 * is merged. Whatever makes the reading out of date in the meantime also removes the mark: a tombstone replaces the
 * family, an invalidation empties its incarnation, lost data loses the mark with it or changes the server's incarnation.
 */
const COLD_FAMILY = `
local function is_cold()
  return not family.generation or id == '' or family.incarnation ~= id or (family.merge and family.merge ~= '')
end
local function is_marked() return family.merge and family.merge ~= '' and family.incarnation == id end
local function mark()
  if id == '' then return '' end
  if is_marked() then return family.merge end
  local mark = time[1] .. '.' .. time[2]
  redis.call('HSET', key, 'merge', mark, 'incarnation', id)
  if not family.generation then redis.call('PEXPIRE', key, ${MARK_MS}) end
  return mark
end
`

// The higher generation wins. The lower count of credits wins, so that spent credits stay spent. What is empty in both
// is not written: most families have few of the fields.
const MERGE_FAMILY = `
local function merge(ledger)
  local function take(fields)
    for _, field in ipairs(fields) do
      if family[field] or ledger[field] ~= '' then family[field] = ledger[field] end
    end
  end
  local ahead = (tonumber(family.generation) or -1) - tonumber(ledger.generation)
  if ahead < 0 then
    take({ 'generation', 'rotated_at', 'reissues', 'clean', 'attempts', 'home', 'turns' })
  elseif ahead == 0 then
    family.reissues = math.max(tonumber(family.reissues), tonumber(ledger.reissues))
  end
  if ahead < 0 or tonumber(family.idle_expires_at) < tonumber(ledger.idle_expires_at) then
    family.idle_expires_at = ledger.idle_expires_at
  end
  family.credits = math.min(tonumber(family.credits) or ${MAX_CREDITS}, tonumber(ledger.credits))
  take({ 'absolute_expires_at', 'client', 'binding', 'claims' })
  family.incarnation, family.merge = id, ''
  local fields = {}
  for name, value in pairs(family) do
    if value then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  redis.call('HSET', key, unpack(fields))
  redis.call('PEXPIREAT', key, family.idle_expires_at)
end
`

/**
 * Implements `decide.ts`, atomically on the stored family. A cold family is merged with the ledger's first, if the
 * caller sends that; the merge takes the maximum, and a tombstone wins over it.
 *
 * KEYS[1] the family's hash
 * ARGV    ROTATE_ARGUMENTS of `wire.ts`. `fallback_incarnation`: for a server without an id ('' if unknown: then
 *         always cold). `deadline`: the latest time at which this may run (ms). `waited_ms`: how long ago the request
 *         arrived. `authenticated`: '1' or ''. `look`: '1' to issue nothing, as `decideLook` does. Then, optionally,
 *         LEDGER_FAMILY.
 * Returns {'late'} | {'cold', mark, or '' by a server without an id} | {'ended', reason}
 *       | {'superseded' | 'foreign' | 'unproven'}
 *       | {'rotate' | 'fast_forward' | 'reissue' | 'late_reissue', ISSUED_REPLY of `wire.ts` as lines}
 *       | {'live', LIVE_REPLY as lines}, of a look
 *       | {'reuse', claims}, repeated for every call until TOMBSTONE reports that the ledger has recorded it
 */
export const ROTATE = `${PRELUDE}
${luaArguments(ROTATE_ARGUMENTS)}
if now > tonumber(deadline) then return { 'late' } end
${luaReadFields('family', FAMILY_FIELDS)}
if family.ended and family.ended ~= '' then
  if family.recorded == '0' then return { 'reuse', family.claims } end
  return { 'ended', family.ended }
end
local id = incarnation(fallback_incarnation)
${COLD_FAMILY}
if is_cold() then
  ${MERGE_FAMILY}
  ${luaArgumentTable('ledger', LEDGER_FAMILY, ROTATE_ARGUMENTS.length)}
  if not ledger.mark or not is_marked() or ledger.mark ~= family.merge then return { 'cold', mark() } end
  merge(ledger)
end
presented, grace_ms, late_ms, idle_ttl_ms = tonumber(presented), tonumber(grace_ms), tonumber(late_ms), tonumber(idle_ttl_ms)
local generation, rotated_at, reissues = tonumber(family.generation), tonumber(family.rotated_at), tonumber(family.reissues)
local credits, clean, attempts = tonumber(family.credits), tonumber(family.clean), family.attempts or ''
local idle_expires_at, absolute_expires_at = tonumber(family.idle_expires_at), tonumber(family.absolute_expires_at)
local client, binding, home, turns = family.client or '', family.binding or '', family.home or '', family.turns or ''
local claims = family.claims
if now >= absolute_expires_at or now >= idle_expires_at then return { 'ended', 'expired' } end
if client ~= presenter then return { 'foreign' } end
if binding ~= '' and proven ~= binding then return { 'unproven' } end
local behind = generation - presented
local function live() return { 'live', ${luaLines(LIVE_REPLY)} } end
if behind <= 0 then
  if look == '1' then return live() end
  local ahead = behind < 0
  if credits < ${MAX_CREDITS} and reissues == 0 and not ahead then
    clean = clean + 1
    if clean >= ${CLEAN_FOR_CREDIT} then credits = credits + 1; clean = 0 end
  end
  if client ~= '' then
    local lost = string.rep(text(rotated_at) .. ' ', math.min(-behind, ${KEPT_TURNS}))
    local kept = {}
    for turn in string.gmatch(text(now) .. ' ' .. lost .. turns, '%S+') do
      if #kept == ${KEPT_TURNS} or tonumber(turn) <= now - late_ms then break end
      kept[#kept + 1] = turn
    end
    home, turns = presenter_home, table.concat(kept, ' ')
    redis.call('HSET', key, 'home', home, 'turns', turns)
  end
  generation, rotated_at = presented + 1, now
  idle_expires_at = math.min(now + idle_ttl_ms, absolute_expires_at)
  local kept = { attempt == '' and '-' or attempt }
  for word in string.gmatch(ahead and '' or attempts, '%S+') do
    if #kept < ${KEPT_ATTEMPTS} then kept[#kept + 1] = word end
  end
  attempts = table.concat(kept, ' ')
  redis.call('HSET', key, 'generation', generation, 'rotated_at', text(now), 'reissues', 0,
    'credits', credits, 'clean', clean, 'attempts', attempts, 'idle_expires_at', text(idle_expires_at))
  redis.call('PEXPIREAT', key, text(idle_expires_at))
  return { ahead and 'fast_forward' or 'rotate', ${luaLines(ISSUED_REPLY)} }
end
local arrived = now - tonumber(waited_ms)
local function nth(list, wanted)
  local place = 0
  for word in string.gmatch(list, '%S+') do
    place = place + 1
    if place == wanted then return word end
  end
  return nil
end
local superseded_at = late_ms > 0 and tonumber(nth(turns, behind))
local shows_more = authenticated ~= '' or binding ~= '' or (home ~= '' and home == presenter_home)
if superseded_at and shows_more and arrived - superseded_at <= late_ms then
  if look == '1' then return live() end
  return { arrived - superseded_at > grace_ms and 'late_reissue' or 'reissue', ${luaLines(ISSUED_REPLY)} }
end
local age = arrived - rotated_at
local in_grace = math.abs(age) <= grace_ms
local known = nth(attempts, behind)
local same_attempt = attempt ~= '' and attempt == known and age <= ${ATTEMPT_MS}
if look == '1' and (in_grace or same_attempt or (behind == 1 and binding ~= '')) then return live() end
if behind == 1 then
  local first = reissues == 0
  local reissue = same_attempt or binding ~= ''
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
redis.call('PEXPIREAT', key, text(absolute_expires_at))
return { 'reuse', claims }
`

/**
 * Marks a cold family. The transaction that starts a family commits after that, so that MERGE can then make it warm.
 *
 * KEYS[1] the family's hash
 * ARGV    MARK_ARGUMENTS of `wire.ts`
 * Returns the mark, or '' if the family is not cold, or this runs too late, or the server has no id
 */
export const MARK = `${PRELUDE}
${luaArguments(MARK_ARGUMENTS)}
${luaReadFields('family', ['ended', 'generation', 'incarnation', 'merge'])}
if now > tonumber(deadline) or (family.ended and family.ended ~= '') then return '' end
local id = incarnation(fallback_incarnation)
${COLD_FAMILY}
return is_cold() and mark() or ''
`

/**
 * Merges a marked family with the ledger's. Does nothing without that mark, and so nothing to a tombstone.
 *
 * KEYS[1] the family's hash
 * ARGV    MARK_ARGUMENTS of `wire.ts`, then LEDGER_FAMILY
 */
export const MERGE = `${PRELUDE}
${luaArguments(MARK_ARGUMENTS)}
${luaArgumentTable('ledger', LEDGER_FAMILY, MARK_ARGUMENTS.length)}
${luaReadFields('family', FAMILY_FIELDS)}
local id = incarnation(fallback_incarnation)
${COLD_FAMILY}
${MERGE_FAMILY}
if now <= tonumber(deadline) and is_marked() and family.merge == ledger.mark then merge(ledger) end
return 1
`
