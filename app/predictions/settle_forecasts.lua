-- Remove forecasts of a day and add their errors to the sums, both at once: each forecast counts at most once.
--
-- KEYS[1]     the forecasts for the day: hash, as in remember_forecast.lua
-- KEYS[2]     sums of the tenant: hash, described below
-- KEYS[i+2]   sums of the cohort of the i-th forecast; KEYS[2] again for a student without one
-- ARGV[1]     time to live of sums in seconds
-- ARGV[2]     the oldest day whose sums are kept, as a day number
-- ARGV[7i-4]  id of the student of the i-th forecast
-- ARGV[7i-3]  the forecast as it was read; one that was replaced meanwhile stays
-- ARGV[7i-2]  the field of the sums, or "" to count the forecast nowhere
-- ARGV[7i-1]  to ARGV[7i+2]  what is added: absolute error and squared error in millionths, 1 if it was close, 1 if inside
--
-- Sums have a field "<day> <model> <version>" for each day and model: "forecasts absolute squared close inside". They are whole
-- numbers below 2^53, so that their order does not matter.
--
-- Returns how many forecasts were counted.

local function drop_old(sums)
  for _, field in ipairs(redis.call('HKEYS', sums)) do
    if tonumber(string.match(field, '^%d+')) < tonumber(ARGV[2]) then redis.call('HDEL', sums, field) end
  end
end

local function add(sums, field, first)
  local values = {1}
  for i = first, first + 3 do values[#values + 1] = tonumber(ARGV[i]) end
  local stored = redis.call('HGET', sums, field)
  if stored then
    local i = 0
    for value in string.gmatch(stored, '%d+') do
      i = i + 1
      values[i] = values[i] + tonumber(value)
    end
  else
    drop_old(sums)
  end
  redis.call('HSET', sums, field, string.format('%.0f %.0f %.0f %.0f %.0f', unpack(values)))
  redis.call('EXPIRE', sums, ARGV[1])
end

local counted = 0
for i = 1, #KEYS - 2 do
  local at = 7 * i - 4
  local student, entry, field = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if redis.call('HGET', KEYS[1], student) == entry then
    redis.call('HDEL', KEYS[1], student)
    if field ~= '' then
      add(KEYS[2], field, at + 3)
      if KEYS[i + 2] ~= KEYS[2] then add(KEYS[i + 2], field, at + 3) end
      counted = counted + 1
    end
  end
end
return counted
