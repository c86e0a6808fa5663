#!lua flags=allow-oom
-- Accept the erasure of a student or of the tenant. One that runs already is extended to now. A full server does this too: it frees
-- memory.
--
-- KEYS[1]  the erasure: hash, described below
-- KEYS[2]  erasures of the tenant that run: sorted set pseudonym -> last attempt, microseconds since 1970-01-01
-- ARGV[1]  pseudonym of the student, or *
-- ARGV[2]  id of the erasure
-- ARGV[3]  id of the student, or ""
-- ARGV[4]  moment at which it was requested, in microseconds since 1970-01-01; "" for now
--
-- An erasure has the fields id, student (while it runs), requested, finished (microseconds since 1970-01-01, by the server's clock;
-- finished is missing while it runs), dropped and announced (for which request that was done: see app/privacy/erasure.py), and
-- erased:<kind of data> -> how many things were erased.
--
-- Returns the id and the moment of the request.

local id, requested, finished = unpack(redis.call('HMGET', KEYS[1], 'id', 'requested', 'finished'))
local time = redis.call('TIME')
local now = ARGV[4] ~= '' and ARGV[4] or string.format('%.0f', time[1] * 1000000 + time[2])
if id and not finished then
  if tonumber(requested) < tonumber(now) then redis.call('HSET', KEYS[1], 'requested', now) else now = requested end
  return {id, now}
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'student', ARGV[3], 'requested', now)
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return {ARGV[2], now}
