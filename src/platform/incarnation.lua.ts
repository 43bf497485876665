/**
 * Identifies the data set that a Redis script runs on: it changes with every start and every promotion, also when a
 * former master becomes master again. A server without a replication id, or with one of zeros, gets the `fallback`.
 */
export const INCARNATION = `
local function incarnation(fallback)
  local info = redis.pcall('INFO', 'replication')
  local id = type(info) == 'string' and string.match(info, 'master_replid:(%x+)')
  return id and string.find(id, '[^0]') and id or fallback
end
`
