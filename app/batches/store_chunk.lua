-- Store the results of a chunk, once: those of a second task that computed the same chunk are dropped, and so are those of a batch
-- that has ended. A task that does not have the chunk any more stores nothing: a crash of the server may have taken back who the
-- batch's students are, or one of them was erased (erase_from_chunk.lua).
--
-- KEYS[1]  the batch: hash (create_batch.lua describes it)
-- KEYS[2]  chunks to be computed: hash number -> students
-- KEYS[3]  when each of these chunks may be taken: sorted set number -> milliseconds since 1970-01-01
-- KEYS[4]  results: hash number of the chunk -> rows
-- ARGV[1]  id of the task
-- ARGV[2]  number of the chunk
-- ARGV[3]  rows
-- ARGV[4]  number of students that succeeded
-- ARGV[5]  number of students that failed; erased ones are counted already
-- ARGV[6]  length of the lease in milliseconds
-- ARGV[7]  how many students were erased when the task took the chunk: one that is delivered twice may have taken it before and
--          after an erasure, and comes back with what it computed first
--
-- Returns 1 if the batch goes on and has chunks left; 2 if it has none left, and the task has to end it; 0 if it has ended, or another
-- task has to end it.

local status, claimed = unpack(redis.call('HMGET', KEYS[1], 'status', 'claim:' .. ARGV[1]))
local number, erased = string.match(claimed or '', '^(%d+):%d+:(%d+)$')
if erased and erased ~= ARGV[7] then return 0 end  -- the task took a chunk again, and goes on with that
redis.call('HDEL', KEYS[1], 'claim:' .. ARGV[1])
if status ~= 'running' then return 0 end
if number == ARGV[2] and redis.call('ZREM', KEYS[3], ARGV[2]) == 1 then
  redis.call('HDEL', KEYS[2], ARGV[2])
  redis.call('HDEL', KEYS[1], 'attempts:' .. ARGV[2])
  redis.call('HSET', KEYS[4], ARGV[2], ARGV[3])
  redis.call('HINCRBY', KEYS[1], 'succeeded', ARGV[4])
  redis.call('HINCRBY', KEYS[1], 'failed', ARGV[5])
end
if redis.call('EXISTS', KEYS[3]) == 1 then return 1 end
local time, ending = redis.call('TIME'), redis.call('HGET', KEYS[1], 'ending')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ending and tonumber(ending) > now then return 0 end
redis.call('HSET', KEYS[1], 'ending', now + ARGV[6])
return 2
