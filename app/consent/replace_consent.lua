-- Replace a student's consent record, unless it was changed since it was read.
--
-- KEYS[1]  the record: JSON array of decisions (consent.py)
-- KEYS[2]  how often a decision about cohort_statistics was stored in the tenant
-- KEYS[3]  the student's facts and score, if any: merge_evidence.lua describes it
-- ARGV[1]  the record as it was read, or ""
-- ARGV[2]  the new record
-- ARGV[3]  time to live in seconds
-- ARGV[4]  1 if it has a new decision about cohort_statistics, else 0
-- ARGV[5]  names of the rankings: see rankings.lua, which this script includes
-- ARGV[6]  id of the student
--
-- Returns 1 if it was replaced, 0 if it was changed since.

if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
if ARGV[4] == '1' then
  redis.call('INCR', KEYS[2])
  local names = ranking_names(ARGV[5])
  local counted = redis.call('HGET', KEYS[3], 'counted')
  recount(names, KEYS[3], ARGV[6])
  local place = redis.call('HGET', KEYS[3], 'counted')
  if counted and not place then withhold(names, counted) end
  -- Who allows it again may bring back the values that were withheld without them.
  if place and not counted then redis.call('HDEL', names.published .. place, 'checked') end
end
write_sums()
return 1
