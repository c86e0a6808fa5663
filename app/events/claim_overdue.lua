-- Find chunks in flight without activity for long: their tasks were lost. Each is found once per period.
--
-- KEYS[1]  last activity of the chunks in flight: sorted set id -> milliseconds since 1970-01-01
-- KEYS[2]  chunks in flight of the bulk lane: set of ids
-- ARGV[1]  how long is long, in milliseconds
-- ARGV[2]  how many to find at most
-- ARGV[3]  1: of the bulk lane, 0: of the ordinary one
-- ARGV[4…] ids of chunks that are not meant
--
-- Looks through all that are in flight: the bridge's marks bound them.
-- Returns their ids, the longest waiting first.

local time = redis.call('TIME')  -- the server's clock: those of the callers may differ
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, in_bulk = tonumber(ARGV[2]), tonumber(ARGV[3])
local besides = {}
for i = 4, #ARGV do besides[ARGV[i]] = true end
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1])) do
  if #found == limit then break end
  if not besides[id] and redis.call('SISMEMBER', KEYS[2], id) == in_bulk then
    redis.call('ZADD', KEYS[1], now, id)
    found[#found + 1] = id
  end
end
return found
