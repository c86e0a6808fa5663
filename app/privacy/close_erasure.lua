#!lua flags=allow-oom
-- Close a finished erasure: what is left is its receipt, which does not name the student.
--
-- KEYS[1]  the erasure: hash (accept_erasure.lua describes it)
-- KEYS[2]  erasures of the tenant that run: sorted set pseudonym -> last attempt
-- ARGV[1]  pseudonym of the student, or *
-- ARGV[2]  id of the erasure
-- ARGV[3]  for how many seconds the receipt is kept
--
-- Returns nothing. Does nothing if there is another erasure.

local id, finished = unpack(redis.call('HMGET', KEYS[1], 'id', 'finished'))
if id ~= ARGV[2] or not finished then return end
redis.call('HDEL', KEYS[1], 'student', 'dropped', 'announced')
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[1])
