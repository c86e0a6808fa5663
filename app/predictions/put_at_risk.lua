-- Add some students to a cohort's list of those at risk that is being stored, or complete it. A student who has left the cohort, or
-- was erased, since it was computed is not added, also one who was erased and has returned: the list is a part of the ranking, and
-- whoever is removed there is removed here.
--
-- KEYS[1]     the list: sorted set student_id -> probability, 0..1
-- KEYS[2]     about the list: string, JSON as app/predictions/risk_store.py writes it; until it is complete, who stores it
-- KEYS[3]     the cohort's ranking: sorted set student_id -> mastery
-- KEYS[i+3]   record of the i-th student (app/mastery/merge_evidence.lua describes it)
-- ARGV[1]     who stores it
-- ARGV[2]     the new value of KEYS[2]: the same, or about the list to complete it
-- ARGV[3]     time to live in seconds
-- ARGV[3i+1]  id of the i-th student
-- ARGV[3i+2]  its probability
-- ARGV[3i+3]  the field after of its record, as it was before the facts were read, or ""
--
-- Returns how many students are in it; -1 if somebody else stores another one.

if redis.call('GET', KEYS[2]) ~= ARGV[1] then return -1 end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
for i = 1, #KEYS - 3 do
  local student, probability, after = ARGV[3 * i + 1], ARGV[3 * i + 2], ARGV[3 * i + 3]
  if redis.call('ZSCORE', KEYS[3], student) and (redis.call('HGET', KEYS[i + 3], 'after') or '') == after then
    redis.call('ZADD', KEYS[1], probability, student)
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return redis.call('ZCARD', KEYS[1])
