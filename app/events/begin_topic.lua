-- Store a source's topic id, the start positions of its partitions, and the records lost thereby.
--
-- KEYS[1]      progress of the source: hash partition -> next offset to accept, topic-id, begun, admitted:<partition>
-- KEYS[2]      losses: hash records, at, state-lost-at (milliseconds since 1970-01-01), acknowledged-at
-- ARGV[1]      id of the topic, "" if the broker assigns none
-- ARGV[2]      the stored topic id that the caller found, "" for none
-- ARGV[3]      why the topic is read from its beginning, unless already stored: first | lost | anew
-- ARGV[4]      1 if the whole state was lost
-- ARGV[4i+1]   i-th partition
-- ARGV[4i+2]   the stored position that the caller found, "" for none
-- ARGV[4i+3]   start position
-- ARGV[4i+4]   number of lost records
--
-- Returns 1; or 0, without changes, if the stored topic id is not the one that the caller found.

if (redis.call('HGET', KEYS[1], 'topic-id') or '') ~= ARGV[2] then return 0 end
local time = redis.call('TIME')  -- the server's clock: those of the callers may differ
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if ARGV[2] ~= '' and ARGV[1] ~= ARGV[2] then redis.call('DEL', KEYS[1]) end  -- the progress is that of a deleted topic
if ARGV[1] ~= '' then redis.call('HSET', KEYS[1], 'topic-id', ARGV[1]) end
redis.call('HSETNX', KEYS[1], 'begun', ARGV[3])

local lost = 0
for i = 5, #ARGV, 4 do
  if (redis.call('HGET', KEYS[1], ARGV[i]) or '') == ARGV[i + 1] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    lost = lost + ARGV[i + 3]
  end
end
if lost > 0 then
  redis.call('HINCRBY', KEYS[2], 'records', lost)
  redis.call('HSET', KEYS[2], 'at', now)
end
if ARGV[4] == '1' then redis.call('HSET', KEYS[2], 'state-lost-at', now) end
if lost > 0 or ARGV[4] == '1' then redis.call('HDEL', KEYS[2], 'acknowledged-at') end
return 1
