-- Revoke what a subject was issued up to a moment; an earlier moment than the one that is noted changes nothing.
--
-- KEYS[1]  the moment that is noted: Unix time in seconds, or nothing
-- ARGV[1]  the moment
-- ARGV[2]  for how many seconds at least it is kept

if tonumber(redis.call('GET', KEYS[1]) or '-1') < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL')
end
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
