-- Store what was observed of a cohort.
--
-- KEYS[1]  what was observed: string
-- KEYS[2]  lease of the training
-- ARGV[1]  token of the lease that must be held, "" for none
-- ARGV[2]  what was observed
-- ARGV[3]  time to live in seconds
--
-- Returns 1 if it was stored, 0 if the lease is not held.

if ARGV[1] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
