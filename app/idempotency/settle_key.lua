-- Store the response of a claimed idempotency key, or release the key. Does nothing if the claim expired.
--
-- KEYS[1]  the key: string, an entry as app/idempotency/idempotency_keys.py writes it
-- KEYS[2]  size of the tenant's stored responses: see claim_key.lua
-- ARGV[1]  the entry of the claim
-- ARGV[2]  the new entry, or "" to release the key
-- ARGV[3]  lifetime of the new entry in seconds
-- ARGV[4]  the length of a time slot in seconds
-- ARGV[5]  size of the new entry in bytes
--
-- Returns 1, or 0 if the claim expired.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
  redis.call('HINCRBY', KEYS[2], math.floor(redis.call('TIME')[1] / ARGV[4]), ARGV[5])
  redis.call('EXPIRE', KEYS[2], ARGV[3] + 2 * ARGV[4])
end
return 1
