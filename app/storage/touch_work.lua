-- Note activity on work in progress.
--
-- KEYS[1]  last activity of the work in progress: sorted set id -> milliseconds since 1970-01-01
-- ARGV[1]  id
--
-- Returns nothing.

local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
