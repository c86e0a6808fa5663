-- Claim chunks in flight without recent activity, whose tasks were lost. A claimed chunk counts as active again.
--
-- KEYS[1]  last activity of the chunks in flight: sorted set id -> milliseconds since 1970-01-01
-- KEYS[2]  chunks in flight of the bulk lane: set of ids
-- ARGV[1]  minimum inactivity in milliseconds
-- ARGV[2]  maximum number of chunks
-- ARGV[3]  1: of the bulk lane, 0: of the ordinary lane
-- ARGV[4…] ids of chunks to skip
--
-- Scans all chunks in flight; the bridge's marks bound their number.
-- Returns the ids, longest inactive first.

local time = redis.call('TIME')  -- the server's clock: those of the callers may differ
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, in_bulk = tonumber(ARGV[2]), tonumber(ARGV[3])
local excluded = {}
for i = 4, #ARGV do excluded[ARGV[i]] = true end
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1])) do
  if #found == limit then break end
  if not excluded[id] and redis.call('SISMEMBER', KEYS[2], id) == in_bulk then
    redis.call('ZADD', KEYS[1], now, id)
    found[#found + 1] = id
  end
end
return found
