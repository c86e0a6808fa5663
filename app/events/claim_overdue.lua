-- Find chunks in flight that nobody has seen to for long: their tasks were lost. Each is found once per period.
--
-- KEYS[1]  when the chunks in flight were last seen to: sorted set id -> milliseconds since 1970-01-01
-- ARGV[1]  now, in milliseconds
-- ARGV[2]  how long is long, in milliseconds
-- ARGV[3]  how many to find at most
--
-- Returns their ids, the longest waiting first.

local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1] - ARGV[2], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], ARGV[1], id) end
return ids
