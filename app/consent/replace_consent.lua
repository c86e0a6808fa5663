-- Replace a student's consent record, unless it was changed since it was read.
--
-- KEYS[1]  the record: JSON array of decisions (consent.py)
-- KEYS[2]  how often a decision about cohort_statistics was stored in the tenant
-- ARGV[1]  the record as it was read, or ""
-- ARGV[2]  the new record
-- ARGV[3]  time to live in seconds
-- ARGV[4]  1 if it has a new decision about cohort_statistics, else 0
--
-- Returns 1 if it was replaced, 0 if it was changed since.

if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
if ARGV[4] == '1' then redis.call('INCR', KEYS[2]) end
return 1
