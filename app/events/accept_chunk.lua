-- Take records over from their source, all of them or none: the valid ones as chunks in flight, one for each lane, the invalid
-- ones as dead letters.
--
-- KEYS[1]       progress of the source: hash partition -> next offset to be taken, topic-id
-- KEYS[2]       chunks in flight: hash id -> chunk
-- KEYS[3]       their last activity: sorted set id -> milliseconds since 1970-01-01
-- KEYS[4]       counters: hash records | dead-letters:<error type> -> count
-- KEYS[5]       dead letters to be delivered: stream with the field letter
-- KEYS[6]       chunks in flight of the bulk lane: set of ids
-- KEYS[6+i]     events of the minute of the i-th use: see count_events.lua
-- ARGV[1]       how many records are taken
-- ARGV[2]       the chunk of the ordinary lane, or "" where there is none
-- ARGV[3]       its id
-- ARGV[4]       the chunk of the bulk lane, or "" where there is none
-- ARGV[5]       its id
-- ARGV[6]       how many partitions follow
-- ARGV[7]       which topic the caller believes the source to be, "" where the broker gives topics no ids
-- ARGV[8]       for how many seconds minutes are kept
-- then triples  partition, where the caller believes the source to be ("" for nowhere yet), where it is afterwards
-- then fours    of each use: tenant, how many events a minute it may have, how many of the chunk's are new, how many were counted
-- then pairs    error type, letter
--
-- Returns {chunks in flight, those of the bulk lane among them}, and nothing is taken where it returns something else:
-- {} where topic or position is not what the caller believes: the topic was made anew, another bridge took the records, or the
-- server lost what it was told last;
-- {-1, n, ...} where the i-th use has n new events too many.

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
-- Last, so that what fails before is repeated rather than lost.
for i = 9, last, 3 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
return {redis.call('HLEN', KEYS[2]), redis.call('SCARD', KEYS[6])}
