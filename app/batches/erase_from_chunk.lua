#!lua flags=allow-oom
-- Replace a chunk of a batch by one without erased students, if it is still as the caller read it: the chunk that is to be computed,
-- or its results. A full server does this too, since nothing grows.
--
-- The tasks that have the chunk lose it, so what they computed of these students is dropped (store_chunk.lua), and it is free.
-- A summary that had the students is removed with them; the next read of the batch computes it anew.
--
-- KEYS[1]  the batch: hash (create_batch.lua describes it)
-- KEYS[2]  chunks to be computed, or results: hash number -> students or rows
-- KEYS[3]  when each chunk to be computed may be taken: sorted set number -> milliseconds since 1970-01-01
-- ARGV[1]  number of the chunk
-- ARGV[2]  the chunk as the caller read it
-- ARGV[3]  the chunk without these students
-- ARGV[4]  how many of them had succeeded
-- ARGV[5]  how many of them had failed
-- ARGV[6]  how many they are
--
-- Returns 1; 0 if the chunk is another one by now, or was removed.

if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('HINCRBY', KEYS[1], 'succeeded', 0 - ARGV[4])  -- not -ARGV[4]: Redis does not take -0
redis.call('HINCRBY', KEYS[1], 'failed', 0 - ARGV[5])
redis.call('HINCRBY', KEYS[1], 'erased', ARGV[6])
redis.call('HDEL', KEYS[1], 'summary', 'summary_basis')
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local is_claim = string.find(fields[i], 'claim:', 1, true) == 1
  if is_claim and string.match(fields[i + 1], '^%d+') == ARGV[1] then redis.call('HDEL', KEYS[1], fields[i]) end
end
redis.call('HDEL', KEYS[1], 'attempts:' .. ARGV[1])
redis.call('ZADD', KEYS[3], 'XX', 0, ARGV[1])
return 1
