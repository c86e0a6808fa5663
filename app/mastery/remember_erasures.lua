-- Remember erasures, unless later ones of the same students are known.
--
-- KEYS[1]     erased students: hash (erase_students.lua describes it)
-- ARGV[2i-1]  pseudonym of the i-th student; * for the whole tenant
-- ARGV[2i]    moment up to which it was erased, in microseconds since 1970-01-01
--
-- Returns how many were new.

local count = 0
for i = 1, #ARGV, 2 do
  local known, revision = (redis.call('HGET', KEYS[1], ARGV[i]) or ''):match('^(%d+) (%d+)$')
  if not known or tonumber(known) < tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ' ' .. (revision or '0'))
    count = count + 1
  end
end
return count
