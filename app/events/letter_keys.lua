-- Give the key of each dead letter; create it if it is missing. A student who was erased after the event gets none.
--
-- KEYS[i]       key of the i-th dead letter: that of its student or of a day
-- KEYS[n+1]     erased students of the tenant (erase_students.lua describes it); missing for the keys of days
-- ARGV[1]       for how many seconds a key is kept after its last use
-- ARGV[3i-1]    pseudonyms of the i-th dead letter's student, separated by spaces
-- ARGV[3i]      moment of its event in microseconds since 1970-01-01; -1 if it is unknown
-- ARGV[3i+1]    a new key
--
-- Returns the n keys; "" for an event that is not later than the erasure of its student.

local count = (#ARGV - 1) / 3
local erased = KEYS[count + 1]
local is_any_erased = erased and redis.call('EXISTS', erased) == 1

local function is_erased(pseudonyms, moment)
  if not is_any_erased then return false end
  for field in ('* ' .. pseudonyms):gmatch('%S+') do
    local until_then = (redis.call('HGET', erased, field) or ''):match('^%d+')
    if until_then and moment <= tonumber(until_then) then return true end
  end
  return false
end

local keys = {}
for i = 1, count do
  if is_erased(ARGV[3 * i - 1], tonumber(ARGV[3 * i])) then
    keys[i] = ''
  else
    keys[i] = redis.call('GET', KEYS[i]) or ARGV[3 * i + 1]
    redis.call('SET', KEYS[i], keys[i], 'EX', ARGV[1])
  end
end
return keys
