-- Claim an idempotency key, unless it is in use or the tenant's stored responses exhaust its quota.
--
-- KEYS[1]  the key: string, an entry as app/idempotency/idempotency_keys.py writes it
-- KEYS[2]  size of the tenant's stored responses: hash number of the time slot -> bytes stored in it
-- ARGV[1]  the entry of the claim
-- ARGV[2]  lease of the claim in seconds
-- ARGV[3]  the tenant's quota in bytes
-- ARGV[4]  the length of a time slot in seconds
-- ARGV[5]  after how many slots a response expires
--
-- Returns {entry} if the key is in use; {} if the claim succeeded; {false, bytes} if the quota is exhausted.

local found = redis.call('GET', KEYS[1])
if found then return {found} end
local part = math.floor(redis.call('TIME')[1] / ARGV[4])
local taken, bytes = redis.call('HGETALL', KEYS[2]), 0
for i = 1, #taken, 2 do
  if tonumber(taken[i]) < part - ARGV[5] then
    redis.call('HDEL', KEYS[2], taken[i])
  else
    bytes = bytes + taken[i + 1]
  end
end
if bytes >= tonumber(ARGV[3]) then return {false, bytes} end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return {}
