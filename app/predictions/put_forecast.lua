-- Store a forecast, unless the student's facts or consent have changed since they were read, or the student was erased.
--
-- KEYS[1]  the forecast: string, an entry as app/predictions/forecast_cache.py writes it
-- KEYS[2]  record of the student (app/mastery/merge_evidence.lua describes it)
-- KEYS[3]  the student's decisions about consent, or nothing
-- ARGV[1]  the revision of the facts from which it was computed
-- ARGV[2]  the decisions as they were read, or ""
-- ARGV[3]  the entry
-- ARGV[4]  time to live in seconds
--
-- Returns 1 if it was stored, else 0.

local window = redis.call('HGET', KEYS[2], 'window')
if not window or (redis.call('GET', KEYS[3]) or '') ~= ARGV[2] then return 0 end
local _, revision = cmsgpack.unpack_limit(window, 1, 1)
if revision ~= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])
return 1
