-- Begin an attempt at a chunk in flight, and return how many earlier attempts died.
--
-- KEYS[1]  chunks in flight: hash id -> chunk
-- KEYS[2]  their last activity: sorted set id -> milliseconds since 1970-01-01
-- KEYS[3]  attempts: hash id -> {deaths, latest attempt, the one before, ...}, an attempt being "<task id>:<retries>"
-- ARGV[1]  id of the chunk
-- ARGV[2]  id of the task
-- ARGV[3]  number of earlier retries of this task
--
-- A completed attempt is followed by a retry of its task, with a higher count, or by another task. The same attempt appears again
-- only if its process died, or lost its connection to the broker.
-- Returns {chunk, deaths}, or {} if the chunk is done.

local KEPT = 16  -- attempts; a chunk never has more concurrent tasks

local time = redis.call('TIME')  -- the server's clock: those of the callers may differ
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local chunk = redis.call('HGET', KEYS[1], ARGV[1])
if not chunk then return {} end
local attempt = ARGV[2] .. ':' .. ARGV[3]
local held = redis.call('HGET', KEYS[3], ARGV[1])
local attempts = held and cmsgpack.unpack(held) or {0}
local is_known = false
for i = 2, #attempts do is_known = is_known or attempts[i] == attempt end
if is_known then
  attempts[1] = attempts[1] + 1
else
  table.insert(attempts, 2, attempt)
  attempts[KEPT + 2] = nil
end
redis.call('HSET', KEYS[3], ARGV[1], cmsgpack.pack(attempts))
redis.call('ZADD', KEYS[2], now, ARGV[1])
return {chunk, attempts[1]}
