-- Take records over from their source, all of them or none: the valid ones as a chunk in flight, the invalid ones as dead letters.
--
-- KEYS[1]       progress of the source: hash partition -> next offset to be taken, topic-id
-- KEYS[2]       chunks in flight: hash id -> chunk
-- KEYS[3]       when they were last seen to: sorted set id -> milliseconds since 1970-01-01
-- KEYS[4]       counters: hash records | dead-letters:<error type> -> count
-- KEYS[5]       dead letters to be delivered: stream with the field letter
-- ARGV[1]       how many records are taken
-- ARGV[2]       the chunk, or "" where no record is valid
-- ARGV[3]       its id
-- ARGV[4]       how many partitions follow
-- ARGV[5]       which topic the caller believes the source to be, "" where the broker gives topics no ids
-- ARGV[3i+3]    i-th partition
-- ARGV[3i+4]    where the caller believes the source to be, "" for nowhere yet
-- ARGV[3i+5]    where it is afterwards
-- then pairs    error type, letter
--
-- Returns {chunks in flight}; or {} where topic or position is not what the caller believes, and nothing is taken:
-- the topic was made anew, another bridge took the records, or the server lost what it was told last.

local time = redis.call('TIME')  -- the server's clock: those of the callers may differ
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local partitions = tonumber(ARGV[4])
if partitions > 0 and (redis.call('HGET', KEYS[1], 'topic-id') or '') ~= ARGV[5] then return {} end
for i = 6, 5 + 3 * partitions, 3 do
  if (redis.call('HGET', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then return {} end
end

redis.call('HINCRBY', KEYS[4], 'records', ARGV[1])
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[3], ARGV[2])
  redis.call('ZADD', KEYS[3], now, ARGV[3])
end
for i = 6 + 3 * partitions, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[4], 'dead-letters:' .. ARGV[i], 1)
  redis.call('XADD', KEYS[5], '*', 'letter', ARGV[i + 1])
end
-- Last, so that what fails before is repeated rather than lost.
for i = 6, 5 + 3 * partitions, 3 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
return {redis.call('HLEN', KEYS[2])}
