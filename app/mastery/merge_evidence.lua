-- Merge observations into the facts of some students of one tenant, each observation once, and roll their windows to today.
-- Does not compute scores. All keys have the tenant's hash tag, so they are in one cluster slot.
--
-- KEYS[1]       totals of the tenant: hash applied | duplicates | expired | erased -> count
-- KEYS[2]       students of the tenant: sorted set student_id -> day of its score
-- KEYS[3]       bitmap of the chunk's calls that the totals include; created before the chunk is merged
-- KEYS[4]       cohorts of the tenant: set
-- KEYS[5]       erased students of the tenant: hash, described in erase_students.lua
-- KEYS[2i+4]    record of the i-th student: hash, described below
-- KEYS[2i+5]    marks of the i-th student: string of 10-byte entries, 8 bytes of mark and 2 of day
-- ARGV[1]       today, as a day number (days since 1970-01-01)
-- ARGV[2]       length of the retention window in days
-- ARGV[3]       number of events that the caller found expired, for the totals
-- ARGV[4]       names of the rankings: see rankings.lua, which this script includes
-- ARGV[5]       number of this call within the chunk; the totals count its events once, even if the chunk is repeated; -1: no chunk
-- ARGV[6]       "1": do nothing unless this call was counted before
-- ARGV[7]       the tenant's quota of students
-- ARGV[3i+5]    id of the i-th student
-- ARGV[3i+6]    its observations, msgpack, in one list: {mark, day, kind, first, second, stamp, event_id, cohort_id, mark, day, ...}
-- ARGV[3i+7]    its pseudonyms, separated by spaces
--
-- A record has the fields window, cohort, cohort_at, score, ranked, counted, after and one per day with evidence, named by the day's number:
--   <day>       {correct, asked, quality_millionths, submissions, active[, completed, total, stamp, event_id]}
--   window      {revision, day, correct, asked, quality_millionths, submissions, newest_active_day, active_bits,
--               completion_day, completed, total}
--   cohort_at   {stamp, event_id} of the event that named the cohort
--   score       written by put_scores.lua, as are ranked, counted, KEYS[2] and the rankings
--   after       only of a student who was erased before: up to which moment (microseconds since 1970-01-01)
-- Values have at most 64 bytes, since the server gives up the compact encoding of a hash with longer ones.
--
-- The Python modules define COMPLETION, QUIZ, QUALITY, ACTIVITY (kinds of evidence), MARK_BYTES and CONSISTENCY_DAYS.
--
-- Returns for each student one of
--   {outcomes, window, score}  outcomes has a character per observation: "1" applied, "0" duplicate, "x" older than the window
--                              (a worker's clock may lag), "e" not later than the student's erasure; window and score are the
--                              stored fields
--   {outcomes}                 no evidence is left, and the student was removed
--   {false, error}             the student's record was not changed, nor its events counted: QUOTA for a new student beyond the
--                              tenant's quota, EVENTS for a student with MAX_EVENTS events, or any other error
-- A new student gets day 0 in KEYS[2], so that it is due until its score is written. The revisions of an erased student who
-- returns go on, so that a score of the erased facts, computed before the erasure, is not stored: the record gets a score of none.
-- Returns {} if ARGV[6] is "1" and the call was not counted before. Fails with GONE if KEYS[3] does not exist: a crash of the server
-- lost the chunk, whose events will be read again in another chunk and would be counted twice.

-- Lists are read element by element, without a table where possible: creating tables took half of the server's time.
-- A list's elements follow its header, which is one byte for up to 15 elements.
local OBSERVATION_ELEMENTS, WINDOW_ELEMENTS, DAY_ELEMENTS = 8, 11, 9
local EMPTY_LIST, LIST_16 = 0x90, 0xdc
local ENTRY_BYTES = MARK_BYTES + 2
local MICROSECONDS_A_DAY = 86400000000
-- Per student: 1,100 a day for 90 days. A merge scans all marks, which takes 0.03 s for 500 new events at this limit. Without a
-- limit, one student's events could block the server.
local MAX_EVENTS = 100000

local today = tonumber(ARGV[1])
local retention = tonumber(ARGV[2])
local names = ranking_names(ARGV[4])
local call = tonumber(ARGV[5])
local quota = tonumber(ARGV[7])
local is_any_erased = redis.call('EXISTS', KEYS[5]) == 1
if call >= 0 and redis.call('EXISTS', KEYS[3]) == 0 then return redis.error_reply('GONE the chunk') end
local is_counted = call >= 0 and redis.call('GETBIT', KEYS[3], call) == 1
if ARGV[6] == '1' and not is_counted then return {} end

local function bytes_greater(a, b)  -- Lua's < depends on the locale
  for i = 1, #a do
    local x, y = a:byte(i), b:byte(i) or -1
    if x ~= y then return x > y end
  end
  return false
end

local function is_later(stamp, event_id, than_stamp, than_event_id)
  if stamp ~= than_stamp then return stamp > than_stamp end
  return bytes_greater(event_id, than_event_id)
end

local function has_mark(marks, mark)
  local at = marks:find(mark, 1, true)
  while at and (at - 1) % ENTRY_BYTES ~= 0 do at = marks:find(mark, at + 1, true) end
  return at ~= nil
end

-- Collect the elements that cmsgpack.unpack_limit returns after the offset.
local function elements(_, ...) return {...} end

-- The moment up to which a student is erased (microseconds; -1: never), and the last revision of the erased facts.
local function erasure(pseudonyms)
  local moment, revision = -1, 0
  if not is_any_erased then return moment, revision end
  for field in ('* ' .. pseudonyms):gmatch('%S+') do
    local at, last = (redis.call('HGET', KEYS[5], field) or ''):match('^(%d+) (%d+)$')
    if at and tonumber(at) > moment then moment = tonumber(at) end
    if last and tonumber(last) > revision then revision = tonumber(last) end
  end
  return moment, revision
end

-- Add the evidence of one day to a window, unless the day is outside it.
local function fold(window, day, correct, asked, quality, submissions, active, completed, total)
  local age = window[2] - day
  if age < 0 or age >= retention then return end
  window[3], window[4] = window[3] + correct, window[4] + asked
  window[5], window[6] = window[5] + quality, window[6] + submissions
  if active == 1 then
    if day > window[7] then window[7] = day end
    if age < CONSISTENCY_DAYS then window[8] = bit.bor(window[8], bit.lshift(1, age)) end
  end
  if total and day >= window[9] then window[9], window[10], window[11] = day, completed, total end
end

-- Rebuild the window for today from the stored days, and delete expired ones. Returns the window and the number of days kept.
local function roll(record, marks_key, revision)
  local window = {revision + 1, today, 0, 0, 0, 0, 0, 0, 0, 0, 0}
  local oldest = today - retention + 1
  local kept, expired_days = 0, {}
  local fields = redis.call('HGETALL', record)
  for i = 1, #fields, 2 do
    local day = tonumber(fields[i])
    if day and day < oldest then
      expired_days[#expired_days + 1] = fields[i]
    elseif day then
      local facts = elements(cmsgpack.unpack_limit(fields[i + 1], DAY_ELEMENTS, 1))
      fold(window, day, facts[1], facts[2], facts[3], facts[4], facts[5], facts[6], facts[7])
      kept = kept + 1
    end
  end
  local cohort_at = redis.call('HGET', record, 'cohort_at')
  if cohort_at and cmsgpack.unpack(cohort_at)[1] < oldest * MICROSECONDS_A_DAY then
    redis.call('HDEL', record, 'cohort', 'cohort_at')
  end
  if #expired_days > 0 then
    redis.call('HDEL', record, unpack(expired_days))
    local marks, live = redis.call('GET', marks_key) or '', {}
    for at = 1, #marks, ENTRY_BYTES do
      if struct.unpack('>H', marks, at + MARK_BYTES) >= oldest then live[#live + 1] = marks:sub(at, at + ENTRY_BYTES - 1) end
    end
    redis.call('SET', marks_key, table.concat(live))
  end
  return window, kept
end

local function remove(student, record, marks_key)
  leave_rankings(names, KEYS[4], record, student)
  redis.call('ZREM', KEYS[2], student)
  redis.call('DEL', record, marks_key)
end

-- Read an observation at an offset: returns the offset of the next one (negative: none), then the eight elements.
local function observation_at(packed, offset)
  return cmsgpack.unpack_limit(packed, OBSERVATION_ELEMENTS, offset)
end

local function first_offset(packed)
  local header = packed:byte(1)
  if header == EMPTY_LIST then return -1 end
  return header < LIST_16 and 1 or header == LIST_16 and 3 or 5
end

local function merge(student, record, marks_key, packed, pseudonyms)
  local erased_until, erased_revision = erasure(pseudonyms)
  local offset = first_offset(packed)
  local mark, day, kind, first, second, stamp, event_id, cohort_id
  if offset > 0 then offset, mark, day, kind, first, second, stamp, event_id, cohort_id = observation_at(packed, offset) end
  local first_day = day or today
  local held = redis.call('HMGET', record, 'window', 'score', 'cohort', 'cohort_at', first_day)

  local window = held[1] and elements(cmsgpack.unpack_limit(held[1], WINDOW_ELEMENTS, 1)) or {erased_revision, today, 0, 0, 0, 0, 0, 0, 0, 0, 0}
  local rolled, kept = false, nil
  if window[2] < today then
    window, kept = roll(record, marks_key, window[1])
    rolled = true
    held = redis.call('HMGET', record, 'window', 'score', 'cohort', 'cohort_at', first_day)
  end

  local marks = redis.call('GET', marks_key) or ''
  local fresh, outcomes, changed, passed, refused = '', '', {}, 0, 0
  local cohort, cohort_stamp, cohort_event = held[3], -1, ''
  local _
  if held[4] then _, cohort_stamp, cohort_event = cmsgpack.unpack_limit(held[4], 2, 1) end
  local new_cohort = false
  while mark do
    if stamp <= erased_until then
      outcomes = outcomes .. 'e'
      refused = refused + 1
    elseif day <= window[2] - retention then
      outcomes = outcomes .. 'x'
      passed = passed + 1
    elseif has_mark(marks, mark) or has_mark(fresh, mark) then
      outcomes = outcomes .. '0'
    else
      if (#marks + #fresh) / ENTRY_BYTES >= MAX_EVENTS then error({err = 'EVENTS'}) end
      outcomes = outcomes .. '1'
      fresh = fresh .. mark .. struct.pack('>H', day)
      local facts = changed[day]
      if not facts then
        local stored = held[5]
        if day ~= first_day then stored = redis.call('HGET', record, day) end
        facts = stored and elements(cmsgpack.unpack_limit(stored, DAY_ELEMENTS, 1)) or {0, 0, 0, 0, 0}
        changed[day] = facts
      end
      if kind == COMPLETION then
        if not facts[8] or is_later(stamp, event_id, facts[8], facts[9]) then
          facts[6], facts[7], facts[8], facts[9] = first, second, stamp, event_id
          fold(window, day, 0, 0, 0, 0, 0, first, second)
        end
      elseif kind == QUIZ then
        facts[1], facts[2] = facts[1] + first, facts[2] + second
        fold(window, day, first, second, 0, 0, 0)
      elseif kind == QUALITY then
        facts[3], facts[4] = facts[3] + first, facts[4] + second
        fold(window, day, 0, 0, first, second, 0)
      elseif kind == ACTIVITY then
        facts[5] = 1
        fold(window, day, 0, 0, 0, 0, 1)
      else
        error({err = 'evidence of an unknown kind: ' .. tostring(kind)})
      end
      if cohort_id ~= '' and is_later(stamp, event_id, cohort_stamp, cohort_event) then
        cohort, cohort_stamp, cohort_event, new_cohort = cohort_id, stamp, event_id, true
      end
    end
    mark = nil
    if offset > 0 then offset, mark, day, kind, first, second, stamp, event_id, cohort_id = observation_at(packed, offset) end
  end

  if fresh == '' then
    if not held[1] or kept == 0 then
      remove(student, record, marks_key)
      return 0, passed, refused, {outcomes}
    end
    if not rolled then return 0, passed, refused, {outcomes, held[1], held[2]} end
  end

  -- A new student was rejected when the call was counted. With this error its events get chunks of their own, and are counted there.
  if not held[1] and is_counted then error({err = 'not merged before'}) end
  if not held[1] and redis.call('ZCARD', KEYS[2]) >= quota then error({err = 'QUOTA'}) end
  if fresh ~= '' and not rolled then window[1] = window[1] + 1 end
  local packed_window = cmsgpack.pack(window)
  local writes = {'window', packed_window}
  for changed_day, facts in pairs(changed) do
    writes[#writes + 1] = changed_day
    writes[#writes + 1] = cmsgpack.pack(facts)
  end
  if new_cohort then
    writes[#writes + 1], writes[#writes + 2] = 'cohort', cohort
    writes[#writes + 1], writes[#writes + 2] = 'cohort_at', cmsgpack.pack({cohort_stamp, cohort_event})
  end
  local score = held[2]
  if not held[1] and erased_until >= 0 then
    score = cmsgpack.pack({erased_revision, -1, -1})
    writes[#writes + 1], writes[#writes + 2] = 'score', score
    writes[#writes + 1], writes[#writes + 2] = 'after', string.format('%.0f', erased_until)
  end
  redis.call('HSET', record, unpack(writes))
  if fresh ~= '' then redis.call('APPEND', marks_key, fresh) end
  if not held[1] then redis.call('ZADD', KEYS[2], 0, student) end
  return #fresh / ENTRY_BYTES, passed, refused, {outcomes, packed_window, score}
end

local replies, applied, duplicates, expired, erased = {}, 0, 0, tonumber(ARGV[3]), 0
for i = 1, (#KEYS - 5) / 2 do
  local merged, count, passed, refused, reply =
    pcall(merge, ARGV[3 * i + 5], KEYS[2 * i + 4], KEYS[2 * i + 5], ARGV[3 * i + 6], ARGV[3 * i + 7])
  if merged then
    replies[i] = reply
    applied, expired, erased = applied + count, expired + passed, erased + refused
    duplicates = duplicates + #reply[1] - count - passed - refused
  else
    replies[i] = {false, type(count) == 'table' and count.err or tostring(count)}
  end
end
if not is_counted then
  if applied > 0 then redis.call('HINCRBY', KEYS[1], 'applied', applied) end
  if duplicates > 0 then redis.call('HINCRBY', KEYS[1], 'duplicates', duplicates) end
  if expired > 0 then redis.call('HINCRBY', KEYS[1], 'expired', expired) end
  if erased > 0 then redis.call('HINCRBY', KEYS[1], 'erased', erased) end
  if call >= 0 and applied + duplicates + expired + erased > 0 then
    redis.call('SETBIT', KEYS[3], call, 1)
  end
end
write_sums()
return replies
