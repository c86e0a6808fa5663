-- Begin an attempt at a chunk in flight, and tell how many earlier ones died.
--
-- KEYS[1]  chunks in flight: hash id -> chunk
-- KEYS[2]  when they were last seen to: sorted set id -> milliseconds since 1970-01-01
-- KEYS[3]  the latest attempts: hash id -> {task, retries, deaths}
-- ARGV[1]  id of the chunk
-- ARGV[2]  now, in milliseconds
-- ARGV[3]  id of the task
-- ARGV[4]  how often this task was retried before
--
-- An attempt that ended in order is followed by a retry of the same task, with a higher count. Any other successor means that the
-- process of the earlier one died, or lost its connection to the broker.
-- Returns {chunk, deaths}, or {} when the chunk is done.

local chunk = redis.call('HGET', KEYS[1], ARGV[1])
if not chunk then return {} end
local task, retries, deaths = ARGV[3], tonumber(ARGV[4]), 0
local held = redis.call('HGET', KEYS[3], ARGV[1])
if held then
  local former = cmsgpack.unpack(held)
  deaths = former[3]
  if former[1] ~= task or former[2] >= retries then deaths = deaths + 1 end
end
redis.call('HSET', KEYS[3], ARGV[1], cmsgpack.pack({task, retries, deaths}))
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return {chunk, deaths}
