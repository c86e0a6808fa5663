#!lua flags=allow-oom
-- Add names to the set of trails, so that they are found without a scan. Like append_entries.lua, it runs on a full server.
--
-- KEYS[1]  the set of all trails
-- ARGV     their names
--
-- Returns the number of new names.

return redis.call('SADD', KEYS[1], unpack(ARGV))
