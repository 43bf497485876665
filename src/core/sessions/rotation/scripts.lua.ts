import { INCARNATION } from '../../../platform/incarnation.lua.ts'
import { DECIDE } from './decide.lua.ts'
import { MAX_CREDITS } from './decide.ts'
import {
  FAMILY_FIELDS,
  LEDGER_FAMILY,
  luaArguments,
  luaArgumentTable,
  luaReadFields,
  MARK_ARGUMENTS,
  ROTATE_ARGUMENTS,
  TOMBSTONE_ARGUMENTS,
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

// The higher generation wins. The lower count of credits wins, so that spent credits stay spent.
const MERGE_FAMILY = `
local function merge(ledger)
  local ahead = (tonumber(family.generation) or -1) - tonumber(ledger.generation)
  if ahead < 0 then
    for _, field in ipairs({ 'generation', 'rotated_at', 'reissues', 'clean', 'attempts' }) do
      family[field] = ledger[field]
    end
    if ledger.client ~= '' then family.home, family.turns = ledger.home, ledger.turns end
  elseif ahead == 0 then
    family.reissues = math.max(tonumber(family.reissues), tonumber(ledger.reissues))
  end
  if ahead < 0 or tonumber(family.idle_expires_at) < tonumber(ledger.idle_expires_at) then
    family.idle_expires_at = ledger.idle_expires_at
  end
  family.credits = math.min(tonumber(family.credits) or ${MAX_CREDITS}, tonumber(ledger.credits))
  family.absolute_expires_at, family.claims = ledger.absolute_expires_at, ledger.claims
  if ledger.client ~= '' then family.client, family.binding = ledger.client, ledger.binding end
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
${DECIDE}`

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
