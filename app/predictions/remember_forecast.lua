-- Record a forecast until its day has ended, unless the student's facts or consent have changed since they were read, or the
-- student was erased. Of several forecasts for one day, the last one counts.
--
-- KEYS[1]  the forecasts for that day: hash student_id -> a RecordedForecast (app/predictions/recorded_forecast.py)
-- KEYS[2]  days for which there are forecasts: set
-- KEYS[3]  record of the student (app/mastery/merge_evidence.lua describes it)
-- KEYS[4]  the student's decisions about consent, or nothing
-- ARGV[1]  the revision of the facts from which it was computed
-- ARGV[2]  the decisions as they were read, or ""
-- ARGV[3]  id of the student
-- ARGV[4]  the forecast
-- ARGV[5]  the day, as a day number
-- ARGV[6]  time to live in seconds: the same for each day, so the set outlives the forecasts
--
-- Returns 1 if it was recorded, else 0.

local window = redis.call('HGET', KEYS[3], 'window')
if not window or (redis.call('GET', KEYS[4]) or '') ~= ARGV[2] then return 0 end
local _, revision = cmsgpack.unpack_limit(window, 1, 1)
if revision ~= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
redis.call('SADD', KEYS[2], ARGV[5])
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[6])
return 1
