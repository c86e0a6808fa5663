#!lua flags=allow-oom
-- Delete a batch with its results. A full server does this too, since it frees memory.
--
-- KEYS[1]  the batch: hash (create_batch.lua describes it)
-- KEYS[2]  the owner's batches: sorted set id -> number
-- KEYS[3]  results: hash number of the chunk -> rows
-- KEYS[4]  the tenant's usage: hash (create_batch.lua describes it)
-- KEYS[5]  the rejected students: string
-- KEYS[6]  chunks to be computed: hash
-- KEYS[7]  when each of these chunks may be taken: sorted set
-- ARGV[1]  id of the batch
--
-- Returns nothing.

local counted, status = unpack(redis.call('HMGET', KEYS[1], 'counted', 'status'))
if counted then redis.call('HINCRBY', KEYS[4], 'students', -counted) end
if status == 'queued' or status == 'running' then redis.call('HINCRBY', KEYS[4], 'running', -1) end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('UNLINK', KEYS[1], KEYS[3], KEYS[5], KEYS[6], KEYS[7])
