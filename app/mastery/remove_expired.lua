-- Remove the students among some of one tenant that have no evidence of the retention window, also if their record is damaged.
--
-- KEYS[1]     students of the tenant: sorted set student_id -> day of its score
-- KEYS[2]     cohorts of the tenant: set
-- KEYS[2i+1]  record of the i-th student (merge_evidence.lua describes it)
-- KEYS[2i+2]  marks of the i-th student
-- ARGV[1]     first retained day, as a day number
-- ARGV[2]     names of the rankings: see rankings.lua, which this script includes
-- ARGV[i+2]   id of the i-th student
--
-- Returns the ids of the removed students. The days are the names of fields, so no value is read. A key of another type than a
-- hash is left alone: it is nothing that the engine wrote.

local function is_expired(record)
  for _, field in ipairs(redis.call('HKEYS', record)) do
    local day = tonumber(field)
    if day and day >= tonumber(ARGV[1]) then return false end
  end
  return true
end

local names, removed = ranking_names(ARGV[2]), {}
for i = 1, #ARGV - 2 do
  local student, record, marks = ARGV[i + 2], KEYS[2 * i + 1], KEYS[2 * i + 2]
  if redis.call('TYPE', record).ok == 'hash' and is_expired(record) then
    leave_rankings(names, KEYS[2], record, student)
    redis.call('ZREM', KEYS[1], student)
    redis.call('DEL', record, marks)
    removed[#removed + 1] = student
  end
end
write_sums()
return removed
