#!lua flags=allow-oom
-- Name trails, so that they are found without looking through all keys. As append_entries.lua, it works on a server that is full.
--
-- KEYS[1]  the set of all trails
-- ARGV     their names
--
-- Returns how many were new.

return redis.call('SADD', KEYS[1], unpack(ARGV))
