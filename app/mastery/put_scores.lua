-- Store the scores of some students of one tenant, unless a newer revision of the facts has a score already, and atomically add
-- the changes to the outbox.
--
-- KEYS[1]       students of the tenant: sorted set student_id -> day of its score
-- KEYS[2]       cohorts of the tenant: set
-- KEYS[3]       changes to be published: stream with the fields at (milliseconds since 1970-01-01) and changes, msgpack:
--               {{student_id, cohort_id or "", revision, day, millionths, previous millionths or -1}, ...};
--               outbox.py adds entries that have erasures in place of changes
-- KEYS[4]       who is counted in the rankings by metric: hash, described in ranking_store.py
-- KEYS[i+4]     record of the i-th student (merge_evidence.lua describes it)
-- ARGV[1]       names of the rankings: see rankings.lua, which this script includes
-- ARGV[2]       now, in milliseconds
-- ARGV[3]       the rule under which students are counted
-- ARGV[2i+2]    id of the i-th student
-- ARGV[2i+3]    score, msgpack: {revision of the facts that were scored, day they were scored for, then in millionths: mastery and
--               its components, -1 for one without evidence}
--
-- Writes the field score unchanged, and the rankings. A deleted record (expired, erased) is not recreated, and a recreated one
-- does not get the score of an old revision.
-- app/mastery/evidence.py defines MILLIONTHS.
-- Returns the errors of students whose score cannot be stored; the other scores are stored.

local names, changes, errors = ranking_names(ARGV[1]), {}, {}

-- Keep the rankings by metric. An event rarely changes more than mastery and one component. The first score of a day
-- looks at everything anew, also at consent: what a process of an older version did not keep stays wrong for a day at most. Tables
-- of the elements would take a tenth of the server's time for an event.
local function keep_counted(record, student, cohort, counted, is_new_day, score, old_score)
  if is_new_day or counted ~= cohort .. names.rule then return recount(names, record, student) end
  local _, _, mastery, completion, quiz, quality, consistency = score_elements(score)
  local _, _, old_mastery, old_completion, old_quiz, old_quality, old_consistency = score_elements(old_score)
  if not old_consistency then return recount(names, record, student) end  -- of an older version of the engine
  local place = place_of(names, counted)
  rank_again(place, 'mastery', student, old_mastery, mastery)
  rank_again(place, 'completion', student, old_completion, completion)
  rank_again(place, 'quiz', student, old_quiz, quiz)
  rank_again(place, 'quality', student, old_quality, quality)
  rank_again(place, 'consistency', student, old_consistency, consistency)
end

-- Of a tenant without scores, all students are counted from the first score on; else the refresh says when all are.
local is_noted = redis.call('HGET', KEYS[4], 'counted') == ARGV[3]
local function note_first_score()
  is_noted = true
  if #redis.call('ZRANGEBYSCORE', KEYS[1], 1, '+inf', 'LIMIT', 0, 1) == 0 then redis.call('HSET', KEYS[4], 'counted', ARGV[3]) end
end

local function put(record, student, score)
  local held = redis.call('HMGET', record, 'window', 'score', 'cohort', 'ranked', 'counted')
  local revision, day, millionths = score_elements(score)
  local previous_revision, previous_day, previous_millionths = 0, -1, -1
  if held[2] then previous_revision, previous_day, previous_millionths = score_elements(held[2]) end
  if not held[1] or previous_revision >= revision then return end
  local _, merged_revision = cmsgpack.unpack_limit(held[1], 1, 1)
  if revision > merged_revision then return end
  if not is_noted then note_first_score() end
  local cohort, ranked, counted = held[3], held[4], held[5]
  local moves = cohort ~= ranked
  if moves then leave_rankings(names, KEYS[2], record, student) end
  if moves and cohort then
    redis.call('SADD', KEYS[2], cohort)
    redis.call('HSET', record, 'ranked', cohort)
  end
  redis.call('HSET', record, 'score', score)
  -- Most events change neither day nor mastery, and then need no write to the large sorted sets.
  if day ~= previous_day then redis.call('ZADD', KEYS[1], day, student) end
  if cohort and (moves or millionths ~= previous_millionths) then
    redis.call('ZADD', names.ranking .. cohort, millionths / MILLIONTHS, student)
  end
  if cohort then
    keep_counted(record, student, cohort, not moves and counted, day ~= previous_day, score, held[2])
  end
  if millionths ~= previous_millionths then
    changes[#changes + 1] = {student, cohort or '', revision, day, millionths, previous_millionths}
  end
end

local function attempt(step, ...)
  local is_done, failure = pcall(step, ...)
  if not is_done then errors[#errors + 1] = type(failure) == 'table' and failure.err or tostring(failure) end
end

for i = 1, #KEYS - 4 do attempt(put, KEYS[i + 4], ARGV[2 * i + 2], ARGV[2 * i + 3]) end
attempt(write_sums)
if #changes > 0 then redis.call('XADD', KEYS[3], '*', 'at', ARGV[2], 'changes', cmsgpack.pack(changes)) end
return errors
