-- Forget the erasures of some students of one tenant up to a moment; a later one of the same student stays.
--
-- KEYS[1]    erased students: hash pseudonym -> "<moment> <revision>" (erase_students.lua describes it)
-- ARGV[1]    the moment, microseconds since 1970-01-01
-- ARGV[i+1]  the i-th pseudonym
--
-- Returns how many were forgotten.

local count = 0
for i = 2, #ARGV do
  local moment = (redis.call('HGET', KEYS[1], ARGV[i]) or ''):match('^(%d+) ')
  if moment and tonumber(moment) <= tonumber(ARGV[1]) then count = count + redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return count
