-- Revoke a subject's tokens issued up to a moment; a stored later moment is kept.
--
-- KEYS[1]  the stored moment: Unix time in seconds, or nothing
-- ARGV[1]  the moment
-- ARGV[2]  minimum time to live in seconds

if tonumber(redis.call('GET', KEYS[1]) or '-1') < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL')
end
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
