/**
 * The memory a Redis script runs in: new with every start and every promotion, also of a master that lost its place and
 * regained it. A server without a replication id, or with one of zeros, has the `fallback`.
 */
export const INCARNATION = `
local function incarnation(fallback)
  local id = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  return id and string.find(id, '[^0]') and id or fallback
end
`
