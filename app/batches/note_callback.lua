#!lua flags=allow-oom
-- Count an attempt of a batch's callback, and note its outcome. A full server does this too: it is a few bytes, and without them
-- the callback would be sent again and again.
--
-- KEYS[1]  the batch: hash (create_batch.lua describes it)
-- ARGV[1]  delivered | given_up; '' if it is to be attempted again
--
-- Returns the number of attempts; 0 if there is no such batch.

if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if ARGV[1] ~= '' then redis.call('HSET', KEYS[1], 'callback', ARGV[1]) end
return redis.call('HINCRBY', KEYS[1], 'callback_attempts', 1)
