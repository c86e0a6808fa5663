-- Claim an idempotency key, unless it is in use, or the tenant's answers that are kept take as much as they may.
--
-- KEYS[1]  the key: string, an entry as app/idempotency/idempotency_keys.py writes it
-- KEYS[2]  what the answers of the tenant take: hash part of the time that answers are kept -> bytes that were kept in it
-- ARGV[1]  the entry of the claim
-- ARGV[2]  for how many seconds the claim lasts
-- ARGV[3]  how many bytes the tenant's answers may take
-- ARGV[4]  the length of a part in seconds
-- ARGV[5]  after how many parts an answer is gone
--
-- Returns {entry}, of whoever has the key; {} for a claim that succeeded; {false, bytes} where there is no room.

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
