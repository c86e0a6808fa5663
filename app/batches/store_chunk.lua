-- Store the results of a chunk, once: those of a second task that computed the same chunk are dropped, and so are those of a batch
-- that has ended. A task that does not have the chunk any more stores nothing: a crash of the server may have taken back who the
-- batch's students are.
--
-- KEYS[1]  the batch: hash (create_batch.lua describes it)
-- KEYS[2]  chunks to be computed: hash number -> students
-- KEYS[3]  when each of these chunks may be taken: sorted set number -> milliseconds since 1970-01-01
-- KEYS[4]  results: hash number of the chunk -> rows
-- ARGV[1]  id of the task
-- ARGV[2]  number of the chunk
-- ARGV[3]  rows
-- ARGV[4]  number of students that succeeded
-- ARGV[5]  number of students that failed
--
-- Returns 1 if the batch goes on and has chunks left, else 0.

local status, claimed = unpack(redis.call('HMGET', KEYS[1], 'status', 'claim:' .. ARGV[1]))
redis.call('HDEL', KEYS[1], 'claim:' .. ARGV[1])
if status ~= 'running' then return 0 end
if claimed == ARGV[2] and redis.call('ZREM', KEYS[3], ARGV[2]) == 1 then
  redis.call('HDEL', KEYS[2], ARGV[2])
  redis.call('HDEL', KEYS[1], 'attempts:' .. ARGV[2])
  redis.call('HSET', KEYS[4], ARGV[2], ARGV[3])
  redis.call('HINCRBY', KEYS[1], 'succeeded', ARGV[4])
  redis.call('HINCRBY', KEYS[1], 'failed', ARGV[5])
end
return redis.call('EXISTS', KEYS[3])
