-- Store the scores of some students of one tenant, unless a newer revision of the facts has a score already, and atomically add
-- the changes to the outbox.
--
-- KEYS[1]       students of the tenant: sorted set student_id -> day of its score
-- KEYS[2]       cohorts of the tenant: set
-- KEYS[3]       changes to be published: stream with the fields at (milliseconds since 1970-01-01) and changes, msgpack:
--               {{student_id, cohort_id or "", revision, day, millionths, previous millionths or -1}, ...};
--               outbox.py adds entries that have erasures in place of changes
-- KEYS[i+3]     record of the i-th student (merge_evidence.lua describes it)
-- ARGV[1]       prefix of the keys of the cohorts' rankings: sorted set student_id -> mastery, 0..1
-- ARGV[2]       now, in milliseconds
-- ARGV[3]       prefix of the keys of the cohorts' lists of students at risk, which have no student that the ranking has not
-- ARGV[2i+2]    id of the i-th student
-- ARGV[2i+3]    score, msgpack: {revision of the facts that were scored, day they were scored for, mastery in millionths}
--
-- Writes the field score unchanged, and ranked = the cohort whose ranking has the student. A deleted record (expired, erased) is
-- not recreated, and a recreated one does not get the score of an old revision. The record names the ranking of the previous
-- cohort, so that key and its list cannot be declared; they have the same hash tag.
-- app/mastery/evidence.py defines MILLIONTHS.
-- Returns the errors of students whose score cannot be stored; the other scores are stored.

local changes, errors = {}, {}

-- Read the three elements of a packed score without creating a table; the header of a short list is one byte.
local function elements(score)
  local _, revision, day, millionths = cmsgpack.unpack_limit(score, 3, 1)
  return revision, day, millionths
end

local function put(record, student, score)
  local held = redis.call('HMGET', record, 'window', 'score', 'cohort', 'ranked')
  local revision, day, millionths = elements(score)
  local previous_revision, previous_day, previous_millionths = 0, -1, -1
  if held[2] then previous_revision, previous_day, previous_millionths = elements(held[2]) end
  if not held[1] or previous_revision >= revision then return end
  local _, merged_revision = cmsgpack.unpack_limit(held[1], 1, 1)
  if revision > merged_revision then return end
  local cohort, ranked = held[3], held[4]
  local moves = cohort ~= ranked
  if moves and ranked then
    redis.call('ZREM', ARGV[1] .. ranked, student)
    redis.call('ZREM', ARGV[3] .. ranked, student)
    if redis.call('EXISTS', ARGV[1] .. ranked) == 0 then redis.call('SREM', KEYS[2], ranked) end
    redis.call('HDEL', record, 'ranked')
  end
  if moves and cohort then
    redis.call('SADD', KEYS[2], cohort)
    redis.call('HSET', record, 'ranked', cohort)
  end
  redis.call('HSET', record, 'score', score)
  -- Most events change neither day nor mastery, and then need no write to the large sorted sets.
  if day ~= previous_day then redis.call('ZADD', KEYS[1], day, student) end
  if cohort and (moves or millionths ~= previous_millionths) then
    redis.call('ZADD', ARGV[1] .. cohort, millionths / MILLIONTHS, student)
  end
  if millionths ~= previous_millionths then
    changes[#changes + 1] = {student, cohort or '', revision, day, millionths, previous_millionths}
  end
end

for i = 1, #KEYS - 3 do
  local kept, failure = pcall(put, KEYS[i + 3], ARGV[2 * i + 2], ARGV[2 * i + 3])
  if not kept then errors[#errors + 1] = type(failure) == 'table' and failure.err or tostring(failure) end
end
if #changes > 0 then redis.call('XADD', KEYS[3], '*', 'at', ARGV[2], 'changes', cmsgpack.pack(changes)) end
return errors
