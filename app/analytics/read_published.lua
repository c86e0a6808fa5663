-- The place of a student's values among those that are published of a cohort. They stay on the server: of a large cohort, reading
-- them all took longer than everything else.
--
-- KEYS[1]     statistics of the cohort: hash, described in published_store.py
-- ARGV[2i-1]  the i-th metric
-- ARGV[2i]    value of the student in millionths, or ""
--
-- Returns false if nothing is shown; else {day, then for each metric {bytes, sums, values about the quartiles, value, below, equal}},
-- where bytes is the length of the published values, 0 if there are none of this metric. Sums and value are text.

local BYTES = 4  -- of a value, little-endian

local function value_at(values, rank)
  local value = struct.unpack('<I4', values, rank * BYTES + 1)
  return value
end

local function count_below(values, count, limit)
  local low, high = 0, count
  while low < high do
    local middle = math.floor((low + high) / 2)
    if value_at(values, middle) < limit then low = middle + 1 else high = middle end
  end
  return low
end

local day, withheld, components = unpack(redis.call('HMGET', KEYS[1], 'day', 'withheld', 'components'))
if not day or withheld then return false end
local replies = {day}
for i = 1, #ARGV, 2 do
  local metric, value = ARGV[i], tonumber(ARGV[i + 1])
  local is_shown = metric == 'mastery' or components == day
  local values = is_shown and redis.call('HGET', KEYS[1], metric) or ''
  local count, around, below, equal = math.floor(#values / BYTES), {}, 0, 0
  if count > 0 then
    for quarter = 1, 3 do
      local lower = math.floor(quarter * (count - 1) / 4)
      around[#around + 1] = value_at(values, lower)
      around[#around + 1] = value_at(values, math.min(lower + 1, count - 1))
    end
    if value then
      below = count_below(values, count, value)
      equal = count_below(values, count, value + 1) - below
    end
  end
  local sums = redis.call('HGET', KEYS[1], metric .. ' sums') or ''
  replies[#replies + 1] = {#values, sums, around, ARGV[i + 1], below, equal}
end
return replies
