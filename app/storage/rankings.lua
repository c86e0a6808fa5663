-- Functions about the rankings of cohorts, for scripts that include this file. All keys have the tenant's hash tag. The record of
-- a student names the rankings that the student is in, so their keys cannot be declared.
--
-- Members of a cohort are in two kinds of rankings:
--   all of them in one sorted set student_id -> mastery, 0..1; the record's field ranked names the cohort
--   those who allow cohort_statistics in a sorted set student_id -> value for each metric of which they have evidence; values are
--   whole millionths. A hash beside them has the sum of each metric's values, and as <metric>^2 the sum of their squares.
--   The record's field counted names them: the cohort, or <cohort>.required where students have to give consent first: another
--   rule has other rankings, so that a change of the rule never shows students who do not allow it.
-- Functions about a student take names: what ranking_keys.py gives to the script as one argument. A script that calls any of them
-- calls write_sums at its end.

local METRICS = {'mastery', 'completion', 'quiz', 'quality', 'consistency'}
local PURPOSE = 'cohort_statistics'

local function ranking_names(argument)
  local names = {}
  names.ranking, names.at_risk, names.by_metric, names.sums, names.published, names.consent, names.rule =
    argument:match('^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) ?(%S*)$')
  return names
end

-- The places that this call has looked at, each with the keys of its rankings and the changes of its sums. The sums are written
-- once: the students of a call are often of one cohort, and writes for each of them were most of what the rankings cost. What all
-- students of a call change is below 2^53.
local places = {}

local function place_of(names, name)
  local place = places[name]
  if place then return place end
  place = {sums = names.sums .. name, keys = {}, values = {}, squares = {}}
  for _, metric in ipairs(METRICS) do
    place.keys[metric], place.values[metric], place.squares[metric] = names.by_metric .. metric .. ':' .. name, 0, 0
  end
  places[name] = place
  return place
end

local function write_sums()
  for _, place in pairs(places) do
    for field, change in pairs(place.values) do
      local of_squares = place.squares[field]
      -- As text, since Redis 7.2.4 and earlier 7.2 write some whole numbers as 1e+10 (redis#13113).
      if change ~= 0 then redis.call('HINCRBY', place.sums, field, string.format('%.0f', change)) end
      if of_squares ~= 0 then redis.call('HINCRBY', place.sums, field .. '^2', string.format('%.0f', of_squares)) end
    end
  end
end

local function change_sums(place, metric, old, new)
  place.values[metric] = place.values[metric] + new - old
  place.squares[metric] = place.squares[metric] + new * new - old * old
end

-- Give a student a value in the ranking of a metric; -1, no evidence: take the student out.
local function rank(place, metric, student, new)
  local key = place.keys[metric]
  local old = tonumber(redis.call('ZSCORE', key, student) or -1)
  if old == new then return end
  if new >= 0 then redis.call('ZADD', key, new, student) else redis.call('ZREM', key, student) end
  change_sums(place, metric, math.max(old, 0), math.max(new, 0))
end

-- The same with the value that the ranking should have now. One command does it, if the ranking has it.
local function rank_again(place, metric, student, old, new)
  if old == new then return end
  if old < 0 or new < 0 then return rank(place, metric, student, new) end
  local key = place.keys[metric]
  local found = tonumber(redis.call('ZINCRBY', key, new - old, student))
  if found ~= new then redis.call('ZADD', key, new, student) end
  change_sums(place, metric, found - new + old, new)
end

-- Take a student out of the rankings by metric.
local function uncount(names, record, student)
  local counted = redis.call('HGET', record, 'counted')
  if not counted then return end
  local place = place_of(names, counted)
  for _, metric in ipairs(METRICS) do rank(place, metric, student, -1) end
  if redis.call('EXISTS', place.keys[METRICS[1]]) == 0 then
    redis.call('DEL', place.sums)
    places[counted] = nil  -- with the changes
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
  local rankings = place_of(names, place)
  for i, metric in ipairs(METRICS) do rank(rankings, metric, student, values[i]) end
  if counted ~= place then redis.call('HSET', record, 'counted', place) end
end
