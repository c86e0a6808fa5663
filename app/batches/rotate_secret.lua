-- Replace a tenant's webhook secret. The one that it replaces is used beside it for a while.
--
-- KEYS[1]  the secret
-- KEYS[2]  the previous secret, which expires
-- ARGV[1]  the new secret
-- ARGV[2]  how long the replaced secret is used, in milliseconds; may be 0
--
-- Returns 1; 0 if there is no secret.

local current = redis.call('GET', KEYS[1])
if not current then return 0 end
if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[2], current, 'PX', ARGV[2])
else
  redis.call('DEL', KEYS[2])
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
