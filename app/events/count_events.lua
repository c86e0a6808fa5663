#!lua flags=allow-oom
-- Count events of a tenant in its minute, all of them or, where they would be too many, none. A minute begins with its first event.
-- A server that is full lets it through (allow-oom): it is one number, and the events are kept elsewhere.
--
-- KEYS[1]  how many were counted: a number, gone when the minute has passed
-- ARGV[1]  how many are to be counted
-- ARGV[2]  how many a minute may have
-- ARGV[3]  its length in milliseconds
--
-- Returns 0; or in how many milliseconds the minute ends, and nothing is counted.

local counted = tonumber(redis.call('GET', KEYS[1]) or '0')
if counted + ARGV[1] > tonumber(ARGV[2]) then
  local left = redis.call('PTTL', KEYS[1])
  return left > 0 and left or tonumber(ARGV[3])
end
redis.call('INCRBY', KEYS[1], ARGV[1])
if counted == 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 0
