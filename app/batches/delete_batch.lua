#!lua flags=allow-oom
-- Delete a batch that has ended, with its results. A full server does this too, since it frees memory.
--
-- KEYS[1]  the batch: hash (create_batch.lua describes it)
-- KEYS[2]  the owner's batches: sorted set id -> number
-- KEYS[3]  results: hash number of the chunk -> rows
-- KEYS[4]  how many students the tenant's stored batches have
-- ARGV[1]  id of the batch
--
-- Returns nothing.

local counted = redis.call('HGET', KEYS[1], 'counted')
if counted then redis.call('DECRBY', KEYS[4], counted) end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('UNLINK', KEYS[1], KEYS[3])
