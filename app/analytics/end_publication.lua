-- End to look at a cohort, and store what is to be published of it.
--
-- KEYS[1]    statistics of the cohort: hash, described in published_store.py
-- ARGV[1]    token of whoever looked at it
-- ARGV[2]    the day
-- ARGV[3]    n: how many fields are deleted, since what they have is older than the retention
-- ARGV[4..]  their n names; then names and values of fields of the new version, none if the former one stays
--
-- Returns 1 if it was stored; 0 if a student was withheld or another process began meanwhile: the values that were read may have
-- somebody who must not be in them.

if redis.call('HGET', KEYS[1], 'reading') ~= ARGV[1] then return 0 end
local deleted = tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'checked', ARGV[2])
redis.call('HDEL', KEYS[1], 'reading', unpack(ARGV, 4, 3 + deleted))  -- not first: an empty hash loses its time to live
if #ARGV > 3 + deleted then
  redis.call('HDEL', KEYS[1], 'withheld')
  redis.call('HSET', KEYS[1], unpack(ARGV, 4 + deleted))
end
return 1
