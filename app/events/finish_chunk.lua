-- Remove a chunk in flight: its records are recorded, or continue as smaller chunks or as dead letters.
--
-- KEYS[1]  chunks in flight: hash id -> chunk
-- KEYS[2]  their last activity: sorted set id -> milliseconds since 1970-01-01
-- KEYS[3]  attempts: hash id -> described in begin_chunk.lua
-- KEYS[4]  counters: hash records | dead-letters:<error type> -> count
-- KEYS[5]  dead letters to be delivered: stream with the field letter
-- KEYS[6]  chunks in flight of the bulk lane: set of ids; successor chunks are in the ordinary lane
-- ARGV[1]  id of the chunk
-- ARGV[2]  number of successor chunks; they follow as pairs of id and chunk
-- then pairs of error type and letter
--
-- Returns 1; or 0, without changes, if another worker finished the chunk.

if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[6], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
local time = redis.call('TIME')  -- the server's clock: those of the callers may differ
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local letters = 3 + 2 * tonumber(ARGV[2])
for i = 3, letters - 1, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[2], now, ARGV[i])
end
for i = letters, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[4], 'dead-letters:' .. ARGV[i], 1)
  redis.call('XADD', KEYS[5], '*', 'letter', ARGV[i + 1])
end
return 1
