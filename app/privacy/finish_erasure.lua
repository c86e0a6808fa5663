#!lua flags=allow-oom
-- Finish an erasure: what is left is its receipt, which does not name the student.
--
-- KEYS[1]  the erasure: hash (accept_erasure.lua describes it)
-- KEYS[2]  erasures of the tenant that run: sorted set pseudonym -> last attempt
-- ARGV[1]  pseudonym of the student, or *
-- ARGV[2]  id of the erasure
-- ARGV[3]  for how many seconds the receipt is kept
--
-- Returns 1; or 0 if it was finished before, or there is another one.

local id, finished = unpack(redis.call('HMGET', KEYS[1], 'id', 'finished'))
if id ~= ARGV[2] or finished then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'finished', string.format('%.0f', time[1] * 1000000 + time[2]))
redis.call('HDEL', KEYS[1], 'student')
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
