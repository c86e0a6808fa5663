-- Settle a claimed idempotency key: note the answer, or free the key; unless the claim ran out and the key is another's by now.
--
-- KEYS[1]  the key: string, an entry as app/idempotency/idempotency_keys.py writes it
-- KEYS[2]  what the answers of the tenant take: see claim_key.lua
-- ARGV[1]  the entry of the claim
-- ARGV[2]  the entry that takes its place, or "" to free the key
-- ARGV[3]  for how many seconds
-- ARGV[4]  the length of a part in seconds
-- ARGV[5]  how many bytes it takes
--
-- Returns whether the claim was still there.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
  redis.call('HINCRBY', KEYS[2], math.floor(redis.call('TIME')[1] / ARGV[4]), ARGV[5])
  redis.call('EXPIRE', KEYS[2], ARGV[3] + 2 * ARGV[4])
end
return 1
