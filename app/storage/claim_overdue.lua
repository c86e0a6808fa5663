-- Claim work without recent activity, whose task was lost. Claimed work counts as active again.
--
-- KEYS[1]  last activity of the work in progress: sorted set id -> milliseconds since 1970-01-01
-- KEYS[2]  a subset of these ids: set; optional
-- ARGV[1]  minimum inactivity in milliseconds
-- ARGV[2]  maximum number of ids
-- ARGV[3]  1: only those of the subset, 0: only the others
-- ARGV[4…] ids to skip
--
-- Scans all ids; whoever adds work bounds their number.
-- Returns the ids, longest inactive first.

local time = redis.call('TIME')  -- the server's clock: those of the callers may differ
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, in_subset = tonumber(ARGV[2]), tonumber(ARGV[3])
local excluded = {}
for i = 4, #ARGV do excluded[ARGV[i]] = true end
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1])) do
  if #found == limit then break end
  if not excluded[id] and (not KEYS[2] or redis.call('SISMEMBER', KEYS[2], id) == in_subset) then
    redis.call('ZADD', KEYS[1], now, id)
    found[#found + 1] = id
  end
end
return found
