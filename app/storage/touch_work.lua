#!lua flags=allow-oom
-- Note activity on work in progress. A full server does this too: the entry is small, and the work may free memory.
--
-- KEYS[1]  last activity of the work in progress: sorted set id -> milliseconds since 1970-01-01
-- ARGV[1]  id
-- ARGV[2]  milliseconds, or "" for now
--
-- Returns nothing.

local time = redis.call('TIME')
local at = ARGV[2] ~= '' and ARGV[2] or time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], at, ARGV[1])
