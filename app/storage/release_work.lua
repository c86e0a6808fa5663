-- Remove work that has ended, unless it was active again meanwhile.
--
-- KEYS[1]  last activity of the work in progress: sorted set id -> milliseconds since 1970-01-01
-- ARGV[1]  id
-- ARGV[2]  its last activity when the caller looked
--
-- Returns nothing.

local at = redis.call('ZSCORE', KEYS[1], ARGV[1])
if at and tonumber(at) <= tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[1]) end
