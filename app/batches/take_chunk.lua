-- Take a chunk of a batch to compute it. Another task may take it too once the lease has ended.
--
-- KEYS[1]  the batch: hash (create_batch.lua describes it)
-- KEYS[2]  chunks to be computed: hash number -> students
-- KEYS[3]  when each of these chunks may be taken: sorted set number -> milliseconds since 1970-01-01
-- ARGV[1]  id of the task; a task that is delivered again gets its chunk again
-- ARGV[2]  length of the lease in milliseconds
-- ARGV[3]  how often the task was retried: a retry after an outage is no attempt of its own
--
-- Returns one of
--   {'ended'}       there is no such batch, or it has ended
--   {'unresolved', order}   its students are not known yet
--   {'nothing'}     other tasks have all the chunks that are left, or end the batch
--   {'done', order} all chunks are computed, and the task has to end the batch
--   {'chunk', order, number, students, attempts, erased}   erased: how many students of the batch were erased until now

local status, order, total, erased, claimed = unpack(redis.call('HMGET', KEYS[1], 'status', 'order', 'total', 'erased',
  'claim:' .. ARGV[1]))
if status ~= 'queued' and status ~= 'running' then return {'ended'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if status == 'queued' then redis.call('HSET', KEYS[1], 'status', 'running', 'started', now) end
if total == '-1' then return {'unresolved', order} end
local held, retries
if claimed then held, retries = string.match(claimed, '^(%d+):(%d+)') end
if held and not redis.call('ZSCORE', KEYS[3], held) then held = nil end
local number = held or redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 1)[1]
if not number then
  local ending = redis.call('HGET', KEYS[1], 'ending')
  if redis.call('EXISTS', KEYS[3]) == 1 or (ending and tonumber(ending) > now) then return {'nothing', order} end
  redis.call('HSET', KEYS[1], 'ending', now + ARGV[2])
  return {'done', order}
end
redis.call('ZADD', KEYS[3], now + ARGV[2], number)
redis.call('HSET', KEYS[1], 'claim:' .. ARGV[1], number .. ':' .. ARGV[3] .. ':' .. (erased or '0'))
local is_retry = held and tonumber(ARGV[3]) > tonumber(retries)
local attempts = redis.call('HINCRBY', KEYS[1], 'attempts:' .. number, is_retry and 0 or 1)
return {'chunk', order, number, redis.call('HGET', KEYS[2], number), attempts, erased or '0'}
