-- Say how a training ended.
--
-- KEYS[1]  which model answers: hash (promote_model.lua describes it)
-- KEYS[2]  lease of the training
-- ARGV[1]  token of the lease that must be held, "" for none
-- ARGV[2]  fields and their values
--
-- Returns 1, or 0 if the lease is not held.

if ARGV[1] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
