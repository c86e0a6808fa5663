-- Accept records from their source, all or none: valid ones as chunks in flight, one per lane, invalid ones as dead letters.
--
-- KEYS[1]       progress of the source: hash partition -> next offset to accept, topic-id
-- KEYS[2]       chunks in flight: hash id -> chunk
-- KEYS[3]       their last activity: sorted set id -> milliseconds since 1970-01-01
-- KEYS[4]       counters: hash records | dead-letters:<error type> -> count
-- KEYS[5]       dead letters to be delivered: stream with the field letter
-- KEYS[6]       chunks in flight of the bulk lane: set of ids
-- KEYS[6+i]     events of the minute of the i-th use: see count_events.lua
-- ARGV[1]       number of records
-- ARGV[2]       the chunk of the ordinary lane, or "" for none
-- ARGV[3]       its id
-- ARGV[4]       the chunk of the bulk lane, or "" for none
-- ARGV[5]       its id
-- ARGV[6]       number of partitions that follow
-- ARGV[7]       topic id that the caller expects, "" if the broker assigns no topic ids
-- ARGV[8]       for how many seconds the counts of a minute are kept
-- then triples  partition, position that the caller expects ("" for none yet), new position
-- then fours    of each use: tenant, its quota per minute, number of new events, number of events already counted over HTTP
-- then pairs    error type, letter
--
-- Returns {chunks in flight, of these in the bulk lane}. Anything else means that nothing was accepted:
-- {} if topic or position is not the expected one: the topic was recreated, another bridge accepted the records, or the server
-- lost its latest writes;
-- {-1, n, ...} if the i-th use exceeds its quota by n new events.

local time = redis.call('TIME')  -- the server's clock: those of the callers may differ
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local partitions = tonumber(ARGV[6])
local last = 8 + 3 * partitions
if partitions > 0 and (redis.call('HGET', KEYS[1], 'topic-id') or '') ~= ARGV[7] then return {} end
for i = 9, last, 3 do
  if (redis.call('HGET', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then return {} end
end

local uses, are_too_many, answer = #KEYS - 6, false, {-1}
for i = 1, uses do
  local at = last + 4 * i - 3
  local tenant, new = ARGV[at], tonumber(ARGV[at + 2])
  local counts = redis.call('HMGET', KEYS[6 + i], tenant, tenant .. '/http', tenant .. '/read')
  local read = (tonumber(counts[3]) or 0) + ARGV[at + 3]
  local used = (tonumber(counts[1]) or 0) + math.max(tonumber(counts[2]) or 0, read)
  answer[i + 1] = math.min(new, math.max(0, used + new - ARGV[at + 1]))
  are_too_many = are_too_many or answer[i + 1] > 0
end
if are_too_many then return answer end
for i = 1, uses do
  local at = last + 4 * i - 3
  if ARGV[at + 2] ~= '0' then redis.call('HINCRBY', KEYS[6 + i], ARGV[at], ARGV[at + 2]) end
  if ARGV[at + 3] ~= '0' then redis.call('HINCRBY', KEYS[6 + i], ARGV[at] .. '/read', ARGV[at + 3]) end
  redis.call('EXPIRE', KEYS[6 + i], ARGV[8])
end

redis.call('HINCRBY', KEYS[4], 'records', ARGV[1])
for i = 2, 4, 2 do
  if ARGV[i] ~= '' then
    redis.call('HSET', KEYS[2], ARGV[i + 1], ARGV[i])
    redis.call('ZADD', KEYS[3], now, ARGV[i + 1])
  end
end
if ARGV[4] ~= '' then redis.call('SADD', KEYS[6], ARGV[5]) end
for i = last + 4 * uses + 1, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[4], 'dead-letters:' .. ARGV[i], 1)
  redis.call('XADD', KEYS[5], '*', 'letter', ARGV[i + 1])
end
-- Last, so that records are accepted again, not lost, if an earlier command fails.
for i = 9, last, 3 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
return {redis.call('HLEN', KEYS[2]), redis.call('SCARD', KEYS[6])}
