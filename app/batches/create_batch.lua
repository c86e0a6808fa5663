-- Create a batch, once, with its chunks if its students are known.
--
-- KEYS[1]  the batch: hash, described below
-- KEYS[2]  the owner's batches: sorted set id -> number
-- KEYS[3]  chunks to be computed: hash number -> students
-- KEYS[4]  when each of these chunks may be taken: sorted set number -> milliseconds since 1970-01-01
-- KEYS[5]  the number of the tenant's latest batch
-- KEYS[6]  the tenant's usage: hash students (in stored batches) | running (batches) -> count; erasures: how often students were
--          erased from its batches
-- KEYS[7]  the rejected students: string
-- ARGV[1]  id of the batch
-- ARGV[2]  hash that identifies the request
-- ARGV[3]  the order, JSON
-- ARGV[4]  the rejected students, JSON, or ""
-- ARGV[5]  number of students; -1 if a task has to find them
-- ARGV[6]  the students for which the batch counts in KEYS[6]
-- ARGV[7]  the tenant's quota of students in stored batches
-- ARGV[8]  the tenant's quota of batches that run
-- ARGV[9]  the erasures when the students were checked
-- ARGV[10…] students of each chunk: a list of [id, components]; of an erased one the id is ""
--
-- A batch has the fields
--   order             as given
--   request           ARGV[2]
--   status            queued | running, or how it ended
--   created, started, finished   milliseconds since 1970-01-01, by the server's clock
--   total             number of students, or -1
--   succeeded, failed numbers of computed students
--   erased            number of students who were erased; they count in total, and no longer in succeeded or failed
--   counted           the students for which it counts in KEYS[6]
--   reason, summary   once it ended; no summary while it must be computed anew, because students were erased
--   summary_basis     the version of the decisions about consent on which the summary is based
--   callback          delivered | given_up, once the end was announced or will not be; callback_attempts: how often it was tried
--   attempts:<chunk>  how often a chunk was taken
--   claim:<task>      number:retries:erased, the chunk that a task has taken, its retries and the erased students until then
--   ending            until when a task may take to end it, milliseconds since 1970-01-01
--
-- Returns 1 if the batch was created, 0 if there is one of this request already, -1 if there is one of another request, -2 if the
-- quota of students is used up, -3 if that of running batches is, -4 if students were erased since they were checked.

local held = redis.call('HGET', KEYS[1], 'request')
if held then return held == ARGV[2] and 0 or -1 end
local students, running, erasures = unpack(redis.call('HMGET', KEYS[6], 'students', 'running', 'erasures'))
if (erasures or '0') ~= ARGV[9] then return -4 end
if (students or 0) + ARGV[6] > tonumber(ARGV[7]) then return -2 end
if (running or 0) + 1 > tonumber(ARGV[8]) then return -3 end
redis.call('HINCRBY', KEYS[6], 'students', ARGV[6])
redis.call('HINCRBY', KEYS[6], 'running', 1)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'order', ARGV[3], 'request', ARGV[2], 'status', 'queued', 'created', now,
  'total', ARGV[5], 'succeeded', 0, 'failed', 0, 'counted', ARGV[6])
redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[5]), ARGV[1])
if ARGV[4] ~= '' then redis.call('SET', KEYS[7], ARGV[4]) end
for i = 10, #ARGV do
  redis.call('HSET', KEYS[3], i - 10, ARGV[i])
  redis.call('ZADD', KEYS[4], 0, i - 10)
end
return 1
