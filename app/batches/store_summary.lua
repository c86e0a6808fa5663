#!lua flags=allow-oom
-- Store the summary of a batch that has ended and lost it, because students were erased from the results. A full server does this
-- too: it is a few bytes, less than the batch had before.
--
-- KEYS[1]  the batch: hash (create_batch.lua describes it)
-- ARGV[1]  how many students were erased before the results were read
-- ARGV[2]  the summary, JSON, or ""
--
-- Returns 1 if the batch needs no summary any more; 0 if more students were erased meanwhile.

local erased, summary = unpack(redis.call('HMGET', KEYS[1], 'erased', 'summary'))
if summary or not erased then return 1 end
if erased ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'summary', ARGV[2])
return 1
