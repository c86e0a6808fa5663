-- Store a cohort's list of students at risk in place of the one before. A student who has left the cohort, or was erased, since it
-- was computed is not in it: the list is a part of the ranking, and whoever is removed there is removed here.
--
-- KEYS[1]     the list: sorted set student_id -> probability, 0..1
-- KEYS[2]     about the list: string, JSON as app/predictions/risk_store.py writes it
-- KEYS[3]     the cohort's ranking: sorted set student_id -> mastery
-- ARGV[1]     about the list
-- ARGV[2]     time to live in seconds
-- ARGV[2i+1]  id of the i-th student
-- ARGV[2i+2]  its probability
--
-- Returns how many students are in it.

redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])  -- before the deletion, so that a full server refuses all of it
redis.call('DEL', KEYS[1])
local count = 0
for i = 3, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[3], ARGV[i]) then
    redis.call('ZADD', KEYS[1], ARGV[i + 1], ARGV[i])
    count = count + 1
  end
end
if count > 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return count
