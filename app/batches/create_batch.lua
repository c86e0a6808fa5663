-- Create a batch, once, with its chunks if its students are known.
--
-- KEYS[1]  the batch: hash, described below
-- KEYS[2]  the owner's batches: sorted set id -> number
-- KEYS[3]  chunks to be computed: hash number -> students
-- KEYS[4]  when each of these chunks may be taken: sorted set number -> milliseconds since 1970-01-01
-- KEYS[5]  the number of the tenant's latest batch
-- KEYS[6]  how many students the tenant's stored batches have
-- ARGV[1]  id of the batch
-- ARGV[2]  hash that identifies the request
-- ARGV[3]  the order, JSON
-- ARGV[4]  the rejected students, JSON
-- ARGV[5]  number of students; -1 if a task has to find them
-- ARGV[6]  the students for which the batch counts in KEYS[6]
-- ARGV[7]  the tenant's quota of students in stored batches
-- ARGV[8…] students of each chunk
--
-- A batch has the fields
--   order, rejected   as given
--   request           ARGV[2]
--   status            queued | running, or how it ended
--   created, started, finished   milliseconds since 1970-01-01, by the server's clock
--   total             number of students, or -1
--   succeeded, failed numbers of computed students
--   counted           the students for which it counts in KEYS[6]
--   reason, summary   once it ended
--   callback          delivered | given_up, once the end was announced or will not be; callback_attempts: how often it was tried
--   attempts:<chunk>  how often a chunk was taken
--   claim:<task>      the chunk that a task has taken
--
-- Returns 1 if the batch was created, 0 if there is one of this request already, -1 if there is one of another request, -2 if the
-- quota is used up.

local held = redis.call('HGET', KEYS[1], 'request')
if held then return held == ARGV[2] and 0 or -1 end
if tonumber(redis.call('GET', KEYS[6]) or '0') + ARGV[6] > tonumber(ARGV[7]) then return -2 end
redis.call('INCRBY', KEYS[6], ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'order', ARGV[3], 'rejected', ARGV[4], 'request', ARGV[2], 'status', 'queued', 'created', now,
  'total', ARGV[5], 'succeeded', 0, 'failed', 0, 'counted', ARGV[6])
redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[5]), ARGV[1])
for i = 8, #ARGV do
  redis.call('HSET', KEYS[3], i - 8, ARGV[i])
  redis.call('ZADD', KEYS[4], 0, i - 8)
end
return 1
