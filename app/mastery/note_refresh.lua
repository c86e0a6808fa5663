-- Note that all scores of a tenant are of today.
--
-- KEYS[1]  who is counted in the rankings by metric: hash, described in ranking_store.py
-- KEYS[2]  students of the tenant: sorted set student_id -> day of its score
-- ARGV[1]  the rule under which students are counted
-- ARGV[2]  today
--
-- Returns nothing.

if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('DEL', KEYS[1])
  return
end
local counted, begun = unpack(redis.call('HMGET', KEYS[1], 'counted', 'begun'))
if counted == ARGV[1] then return end
local rule, day = (begun or ''):match('^(%S+) (%d+)$')
if rule ~= ARGV[1] then
  redis.call('HSET', KEYS[1], 'begun', ARGV[1] .. ' ' .. ARGV[2])
elseif tonumber(day) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'counted', ARGV[1])
  redis.call('HDEL', KEYS[1], 'begun')
end
