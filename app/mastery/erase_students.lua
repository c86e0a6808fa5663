#!lua flags=allow-oom
-- Erase the facts, the score and the membership of some students of one tenant, and remember their erasure. A full server does
-- this too: it frees memory.
--
-- KEYS[1]       students of the tenant: sorted set student_id -> day of its score
-- KEYS[2]       cohorts of the tenant: set
-- KEYS[3]       erased students: hash pseudonym -> "<moment> <revision>"; the field * is of the whole tenant. The moment is in
--               microseconds since 1970-01-01; merge_evidence.lua refuses events up to it. The revision is the second of the
--               moment, or one above that of the erased facts if those changed more than once a second
-- KEYS[2i+2]    record of the i-th student (merge_evidence.lua describes it)
-- KEYS[2i+3]    marks of the i-th student
-- ARGV[1]       names of the rankings: see rankings.lua, which this script includes
-- ARGV[2]       1: refuse events up to the request; 0: up to now, as those in between may be among the erased ones
-- ARGV[3i]      id of the i-th student
-- ARGV[3i+1]    its pseudonym
-- ARGV[3i+2]    moment at which the erasure was requested, by the server's clock. A student who was erased since is left alone:
--               the record has only what came after the erasure
--
-- Returns for each student 1 if there was a record; 0 if not; -1 if the record has only what came after the request.

local time = redis.call('TIME')  -- the server's clock: those of the callers may differ
local names = ranking_names(ARGV[1])
local now = ARGV[2] == '1' and 0 or time[1] * 1000000 + time[2]

local function erase(record, marks, student, pseudonym, requested)
  local erased, revision = (redis.call('HGET', KEYS[3], pseudonym) or ''):match('^(%d+) (%d+)$')
  local window, after = unpack(redis.call('HMGET', record, 'window', 'after'))
  if after and tonumber(after) >= requested then return -1 end
  if erased and tonumber(erased) >= requested then return 0 end
  local _, last = 0, tonumber(revision) or 0
  if window then _, last = cmsgpack.unpack_limit(window, 1, 1) end
  local moment = math.max(now, requested)
  local counted = redis.call('HGET', record, 'counted')
  if counted then withhold(names, counted) end
  leave_rankings(names, KEYS[2], record, student)
  local count = redis.call('UNLINK', record, marks)
  redis.call('HSET', KEYS[3], pseudonym, string.format('%.0f %.0f', moment, math.max(math.floor(moment / 1000000), last + 1)))
  redis.call('ZREM', KEYS[1], student)
  return count > 0 and 1 or 0
end

local results = {}
for i = 1, (#KEYS - 3) / 2 do
  results[i] = erase(KEYS[2 * i + 2], KEYS[2 * i + 3], ARGV[3 * i], ARGV[3 * i + 1], tonumber(ARGV[3 * i + 2]))
end
write_sums()
return results
