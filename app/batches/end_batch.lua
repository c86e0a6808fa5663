#!lua flags=allow-oom
-- End a batch, once, and drop the chunks that were not computed. A full server does this too, since it frees memory.
--
-- KEYS[1]  the batch: hash (create_batch.lua describes it)
-- KEYS[2]  chunks to be computed: hash number -> students
-- KEYS[3]  when each of these chunks may be taken: sorted set number -> milliseconds since 1970-01-01
-- KEYS[4]  the tenant's usage: hash students (in stored batches) | running (batches) -> count
-- ARGV[1]  its final status
-- ARGV[2]  why it ended, or ""
-- ARGV[3]  the summary, JSON, or ""
--
-- Returns 1 if this call ended the batch; 0 if it had ended, or there is none.

local status = redis.call('HGET', KEYS[1], 'status')
if status ~= 'queued' and status ~= 'running' then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'status', ARGV[1], 'finished', time[1] * 1000 + math.floor(time[2] / 1000), 'reason', ARGV[2],
  'summary', ARGV[3])
redis.call('HINCRBY', KEYS[4], 'running', -1)
redis.call('UNLINK', KEYS[2], KEYS[3])
return 1
