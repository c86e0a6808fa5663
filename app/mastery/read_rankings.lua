-- Read the rankings of a cohort by some metrics: app/mastery/rankings.py says what the numbers mean.
--
-- KEYS[1]    who is counted in the rankings: hash, described in ranking_store.py
-- KEYS[2]    sums of the values in the rankings: hash, described in rankings.lua
-- KEYS[3]    students of the tenant: sorted set student_id -> day of its score, 0 until the first score is stored
-- KEYS[i+3]  ranking by the i-th metric: sorted set student_id -> value in millionths
-- ARGV[1]    the rule under which students are counted: until all are, the rankings are read as empty
-- ARGV[2]    id of the student to compare, or ""
-- ARGV[2i+1] the i-th metric
-- ARGV[2i+2] value to compare with this ranking if it does not have the student, or ""
--
-- Returns {the oldest day of a score as text, "" without scores; then for each metric {students, sum, sum of squares, values about
-- the quartiles, value, is_ranked, below, equal}}; sums and value are text.

local replies = {redis.call('ZRANGEBYSCORE', KEYS[3], 1, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or ''}
local are_counted = redis.call('HGET', KEYS[1], 'counted') == ARGV[1]
for i = 1, #KEYS - 3 do
  local ranking, metric = are_counted and KEYS[i + 3] or '', ARGV[2 * i + 1]
  local students = redis.call('ZCARD', ranking)
  local sums = redis.call('HMGET', are_counted and KEYS[2] or '', metric, metric .. '^2')
  local around = {}
  if students > 0 then
    for quarter = 1, 3 do
      local lower = math.floor(quarter * (students - 1) / 4)
      local pair = redis.call('ZRANGE', ranking, lower, lower + 1, 'WITHSCORES')
      around[#around + 1] = tonumber(pair[2])
      around[#around + 1] = tonumber(pair[4] or pair[2])
    end
  end
  local ranked = redis.call('ZSCORE', ranking, ARGV[2])
  local value = ranked or ARGV[2 * i + 2]
  local below, equal = 0, 0
  if value ~= '' then
    below = redis.call('ZCOUNT', ranking, '-inf', '(' .. value)
    equal = redis.call('ZCOUNT', ranking, value, value)
  end
  replies[#replies + 1] = {students, sums[1] or '0', sums[2] or '0', around, value, ranked and 1 or 0, below, equal}
end
return replies
