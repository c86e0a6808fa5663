-- Give a batch its students, once.
--
-- KEYS[1]  the batch: hash (create_batch.lua describes it)
-- KEYS[2]  chunks to be computed: hash number -> students
-- KEYS[3]  when each of these chunks may be taken: sorted set number -> milliseconds since 1970-01-01
-- KEYS[4]  the tenant's usage: hash (create_batch.lua describes it)
-- ARGV[1]  number of students
-- ARGV[2]  the tenant's quota of students in stored batches
-- ARGV[3]  the erasures when the students were read
-- ARGV[4…] students of each chunk
--
-- Returns 1 if the batch has its students, from this call or an earlier one; 0 if it has ended; -2 if the quota is used up; -4 if
-- students were erased since they were read.

local status, total = unpack(redis.call('HMGET', KEYS[1], 'status', 'total'))
if status ~= 'queued' and status ~= 'running' then return 0 end
if total ~= '-1' then return 1 end
local held, erasures = unpack(redis.call('HMGET', KEYS[4], 'students', 'erasures'))
if (erasures or '0') ~= ARGV[3] then return -4 end
if (held or 0) + ARGV[1] > tonumber(ARGV[2]) then return -2 end
redis.call('HINCRBY', KEYS[4], 'students', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'counted', ARGV[1])
redis.call('HSET', KEYS[1], 'total', ARGV[1])
for i = 4, #ARGV do
  redis.call('HSET', KEYS[2], i - 4, ARGV[i])
  redis.call('ZADD', KEYS[3], 0, i - 4)
end
return 1
