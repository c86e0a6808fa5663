-- Which model answers.
--
-- KEYS[1]  which model answers: hash (promote_model.lua describes it)
-- ARGV[1]  prefix of the keys of contents, as in put_model.lua
--
-- Returns its version; nothing if none was promoted, or its content has expired.

local version = redis.call('HGET', KEYS[1], 'promoted')
if version and redis.call('EXISTS', ARGV[1] .. version) == 1 then return version end
return false
