-- Functions about the rankings of cohorts, for scripts that include this file. All keys have the tenant's hash tag. The record of
-- a student names the rankings that the student is in, so their keys cannot be declared.
--
-- Members of a cohort are in two kinds of rankings:
--   all of them in one sorted set student_id -> mastery, 0..1; the record's field ranked names the cohort
--   those who allow cohort_statistics in a sorted set student_id -> value for each metric of which they have evidence; values are
--   whole millionths. A hash beside them has the sum of each metric's values, and as <metric>^2 the sum of their squares.
--   The record's field counted names them: the cohort, or <cohort>.required where students have to give consent first: another
--   rule has other rankings, so that a change of the rule never shows students who do not allow it.
-- Every function takes names: what ranking_keys.py gives to the script as one argument. A script that calls any of them calls
-- write_sums at its end.

local METRICS = {'mastery', 'completion', 'quiz', 'quality', 'consistency'}
local PURPOSE = 'cohort_statistics'

local function ranking_names(argument)
  local names = {}
  names.ranking, names.at_risk, names.by_metric, names.sums, names.published, names.consent, names.rule =
    argument:match('^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) ?(%S*)$')
  return names
end

-- Changes of the sums in this call, by key and field. They are written once: the students of a call are often of one cohort, and a
-- write for each of them would be a third of what the rankings cost. A change of all students of a call is below 2^53.
local sums_changes = {}

local function change_sum(key, field, change)
  local changes = sums_changes[key]
  if not changes then
    changes = {}
    sums_changes[key] = changes
  end
  changes[field] = (changes[field] or 0) + change
end

local function write_sums()
  for key, changes in pairs(sums_changes) do
    for field, change in pairs(changes) do
      -- As text, since Redis 7.2.4 and earlier 7.2 write some whole numbers as 1e+10 (redis#13113).
      redis.call('HINCRBY', key, field, string.format('%.0f', change))
    end
  end
end

-- Give a student a value in the ranking of a metric; -1, no evidence: take the student out.
local function rank(names, metric, place, student, value)
  local key, sums = names.by_metric .. metric .. ':' .. place, names.sums .. place
  local old, new = tonumber(redis.call('ZSCORE', key, student) or -1), value
  if old == new then return end
  if new >= 0 then redis.call('ZADD', key, new, student) else redis.call('ZREM', key, student) end
  old, new = math.max(old, 0), math.max(new, 0)
  change_sum(sums, metric, new - old)
  change_sum(sums, metric .. '^2', new * new - old * old)
end

-- Take a student out of the rankings by metric.
local function uncount(names, record, student)
  local place = redis.call('HGET', record, 'counted')
  if not place then return end
  for _, metric in ipairs(METRICS) do rank(names, metric, place, student, -1) end
  if redis.call('EXISTS', names.by_metric .. METRICS[1] .. ':' .. place) == 0 then
    redis.call('DEL', names.sums .. place)
    sums_changes[names.sums .. place] = nil
  end
  redis.call('HDEL', record, 'counted')
end

-- Withhold the published statistics of a place, from which a student has been taken who must not be in them, until the next version.
-- A process that reads values for it begins anew, and the next run decides again. published_store.py describes the hash.
local function withhold(names, place)
  local published = names.published .. place
  if redis.call('EXISTS', published) == 0 then return end
  redis.call('HSET', published, 'withheld', 1)
  redis.call('HDEL', published, 'reading', 'checked')
end

-- Take a student out of all rankings of the cohort, and its list of students at risk.
local function leave_rankings(names, cohorts, record, student)
  uncount(names, record, student)
  local ranked = redis.call('HGET', record, 'ranked')
  if not ranked then return end
  redis.call('ZREM', names.ranking .. ranked, student)
  redis.call('ZREM', names.at_risk .. ranked, student)
  if redis.call('EXISTS', names.ranking .. ranked) == 0 then redis.call('SREM', cohorts, ranked) end
  redis.call('HDEL', record, 'ranked')
end

-- Whether a student's data may be in statistics. As for consent_store.py, a record that cannot be read allows nothing.
local function allows_statistics(names, student)
  local is_default = names.rule == ''
  local record = redis.call('GET', names.consent .. student)
  if not record then return is_default end
  local is_read, history = pcall(cjson.decode, record)
  if not is_read then return false end
  for i = #history, 1, -1 do
    if history[i][1] == PURPOSE then return history[i][2] == true end
  end
  return is_default
end

-- The elements of a packed score, without a table: revision, day, then the value of each metric; -1: no evidence. The header of a
-- short list is one byte.
local function score_elements(score)
  return select(2, cmsgpack.unpack_limit(score, 2 + #METRICS, 1))
end

-- Put a student into the rankings by metric of the cohort, or take the student out, as consent and the score say.
local function recount(names, record, student)
  local cohort, counted, score = unpack(redis.call('HMGET', record, 'ranked', 'counted', 'score'))
  local place = cohort and cohort .. names.rule
  local values = score and {select(3, score_elements(score))} or {}
  local is_counted = place and #values == #METRICS and allows_statistics(names, student)
  if counted and not (is_counted and counted == place) then uncount(names, record, student) end
  if not is_counted then return end
  for i, metric in ipairs(METRICS) do rank(names, metric, place, student, values[i]) end
  if counted ~= place then redis.call('HSET', record, 'counted', place) end
end
