#!lua flags=allow-oom
-- Store the summary of a batch that has ended: it lost the one before with erased students, or students decided otherwise about
-- their consent. A full server does this too: it is a few bytes, about as many as the batch had before.
--
-- KEYS[1]  the batch: hash (create_batch.lua describes it)
-- ARGV[1]  the summary, JSON, or ""
-- ARGV[2]  the version of the decisions about consent on which the summary is based
-- ARGV[3]  how many students were erased before the results were read
--
-- Returns 1; 0 if more students were erased meanwhile.

local finished, erased = unpack(redis.call('HMGET', KEYS[1], 'finished', 'erased'))
if not finished then return 1 end
if (erased or '0') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], 'summary', ARGV[1], 'summary_basis', ARGV[2])
return 1
