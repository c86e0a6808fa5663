-- Replace entries of a tenant's outbox, unless they have changed since they were read.
--
-- KEYS[1]     the older entries: sorted set (move_changes.lua describes it)
-- ARGV[2i-1]  the i-th entry as it was read
-- ARGV[2i]    what is left of it; "": nothing
--
-- Returns for each entry 1; or 0 if it was acknowledged meanwhile, or replaced by another erasure.

local replies = {}
for i = 1, #ARGV, 2 do
  replies[#replies + 1] = redis.call('ZREM', KEYS[1], ARGV[i])
  if replies[#replies] == 1 and ARGV[i + 1] ~= '' then redis.call('ZADD', KEYS[1], 0, ARGV[i + 1]) end
end
return replies
