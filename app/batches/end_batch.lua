#!lua flags=allow-oom
-- End a batch, once, and drop the chunks that were not computed. A full server does this too, since it frees memory.
--
-- KEYS[1]  the batch: hash (create_batch.lua describes it)
-- KEYS[2]  chunks to be computed: hash number -> students
-- KEYS[3]  when each of these chunks may be taken: sorted set number -> milliseconds since 1970-01-01
-- KEYS[4]  the tenant's usage: hash (create_batch.lua describes it)
-- ARGV[1]  its final status
-- ARGV[2]  why it ended, or ""
-- ARGV[3]  the summary, JSON, or ""
-- ARGV[4]  the version of the decisions about consent on which the summary is based, or ""
-- ARGV[5]  how many students were erased before the results for the summary were read, or "" without a summary
--
-- Returns 1 if this call ended the batch; 0 if it had ended, or there is none; -4 if more students were erased meanwhile.

local status, erased = unpack(redis.call('HMGET', KEYS[1], 'status', 'erased'))
if status ~= 'queued' and status ~= 'running' then return 0 end
if ARGV[5] ~= '' and ARGV[5] ~= (erased or '0') then return -4 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'status', ARGV[1], 'finished', time[1] * 1000 + math.floor(time[2] / 1000), 'reason', ARGV[2],
  'summary', ARGV[3], 'summary_basis', ARGV[4])
redis.call('HINCRBY', KEYS[4], 'running', -1)
redis.call('UNLINK', KEYS[2], KEYS[3])
return 1
