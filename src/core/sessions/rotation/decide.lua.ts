import {
  ATTEMPT_MS,
  CLEAN_FOR_CREDIT,
  KEPT_ATTEMPTS,
  KEPT_TURNS,
  MAX_CREDITS,
  MAX_REISSUES,
} from './decide.ts'
import { CLIENT_FIELDS, ISSUED_REPLY, LIVE_REPLY, luaLines, luaReadFields } from './wire.ts'

/**
 * The part of ROTATE in `scripts.lua.ts` that implements `decide.ts`, on a warm family that has not ended. A property
 * test compares the two. It has ROTATE_ARGUMENTS of `wire.ts`, `key`, `now` in milliseconds, the fields `family`, and
 * `text(ms)`, and returns what ROTATE does.
 */
export const DECIDE = `
presented, grace_ms, late_ms, idle_ttl_ms = tonumber(presented), tonumber(grace_ms), tonumber(late_ms), tonumber(idle_ttl_ms)
local generation, rotated_at, reissues = tonumber(family.generation), tonumber(family.rotated_at), tonumber(family.reissues)
local credits, clean, attempts = tonumber(family.credits), tonumber(family.clean), family.attempts or ''
local idle_expires_at, absolute_expires_at = tonumber(family.idle_expires_at), tonumber(family.absolute_expires_at)
local client, claims = family.client or '', family.claims
if now >= absolute_expires_at or now >= idle_expires_at then return { 'ended', 'expired' } end
if client ~= presenter then return { 'foreign' } end
local binding, home, turns = '', '', ''
if client ~= '' then
  ${luaReadFields('of_client', CLIENT_FIELDS)}
  binding, home, turns = of_client.binding or '', of_client.home or '', of_client.turns or ''
end
if binding ~= '' and proven ~= binding then return { 'unproven' } end
local behind = generation - presented
local function serve(outcome)
  if look == '1' then return { 'live', ${luaLines(LIVE_REPLY)} } end
  return { outcome, ${luaLines(ISSUED_REPLY)} }
end
if behind <= 0 then
  if look == '1' then return serve() end
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
    home, turns = string.match(presenter_home, '%S+') or '', table.concat(kept, ' ')
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
  return serve(ahead and 'fast_forward' or 'rotate')
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
local at_home = home ~= '' and string.find(' ' .. presenter_home .. ' ', ' ' .. home .. ' ', 1, true)
local shows_more = authenticated ~= '' or binding ~= '' or at_home
if superseded_at and shows_more and arrived - superseded_at <= late_ms then
  return serve(arrived - superseded_at > grace_ms and 'late_reissue' or 'reissue')
end
local age = arrived - rotated_at
local in_grace = math.abs(age) <= grace_ms
local known = nth(attempts, behind)
local same_attempt = attempt ~= '' and attempt == known and age <= ${ATTEMPT_MS}
local same_key = behind == 1 and binding ~= ''
if look == '1' and (in_grace or same_attempt or same_key) then return serve() end
if behind == 1 then
  local first = reissues == 0
  local reissue = same_attempt or same_key
  if not reissue and in_grace and reissues < ${MAX_REISSUES} and (not first or credits > 0) then
    if first then credits = credits - 1 end
    redis.call('HSET', key, 'reissues', reissues + 1, 'credits', credits)
    reissue = true
  end
  if reissue then return serve('reissue') end
end
if in_grace or same_attempt then return { 'superseded' } end
redis.call('HSET', key, 'ended', 'reuse_detected', 'recorded', '0')
redis.call('PEXPIREAT', key, text(absolute_expires_at))
return { 'reuse', claims }
`
