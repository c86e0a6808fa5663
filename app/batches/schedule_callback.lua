#!lua flags=allow-oom
-- Note that a callback is due now, unless it is noted already. A full server does this too: an entry is small, and its batch ended.
--
-- KEYS[1]  when each callback is to be attempted: sorted set tenant/batch -> milliseconds since 1970-01-01
-- ARGV[1]  tenant/batch
--
-- Returns nothing.

local time = redis.call('TIME')  -- the server's clock: those of the callers may differ
redis.call('ZADD', KEYS[1], 'NX', time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
