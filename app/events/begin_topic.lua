-- Note which topic a source is, where its partitions are read from, and what is lost thereby.
--
-- KEYS[1]      progress of the source: hash partition -> next offset to be taken, topic-id, begun, admitted:<partition>
-- KEYS[2]      what was lost: hash records, at, state-lost-at (milliseconds since 1970-01-01), acknowledged-at
-- ARGV[1]      id of the topic, "" where the broker gives none
-- ARGV[2]      the id that the caller found noted, "" for none
-- ARGV[3]      how the topic is begun, unless that is noted already: first | lost | anew
-- ARGV[4]      1 if the whole state was lost
-- ARGV[4i+1]   i-th partition
-- ARGV[4i+2]   the position that the caller found noted, "" for none
-- ARGV[4i+3]   where it is read from
-- ARGV[4i+4]   how many records are lost
--
-- Returns 1; or 0 where another id is noted by now than the caller found, and nothing is changed.

if (redis.call('HGET', KEYS[1], 'topic-id') or '') ~= ARGV[2] then return 0 end
local time = redis.call('TIME')  -- the server's clock: those of the callers may differ
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if ARGV[2] ~= '' and ARGV[1] ~= ARGV[2] then redis.call('DEL', KEYS[1]) end  -- all of it is about a topic that is gone
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
