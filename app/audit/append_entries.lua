#!lua flags=allow-oom
-- Append entries to a trail, if it still ends where the writer believes: all of them or none.
-- A server that is full lets it through (allow-oom): without its entry no answer leaves, and reading must go on.
--
-- KEYS[1]       the trail: stream with the fields entry, previous (the seal before it) and mac (its seal)
-- KEYS[2]       its head: hash sequence | mac, those of the last entry
-- KEYS[3]       whose turn it is, while somebody has lost too often: a writer's name, for some milliseconds
-- ARGV[1], [2]  sequence and mac of the head as the writer believes it; 0 and zeros for a trail that does not exist
-- ARGV[3]       sequence of the last entry that is appended
-- ARGV[4]       the writer's name
-- ARGV[5]       for how many milliseconds the writer wants the turn if this fails; 0: it does not
-- then pairs    entry, mac
--
-- Returns {}; or the head as it is, {sequence, mac}, and nothing is appended: another process was first, or has the turn, or the
-- server lost what it was told last.

local head = redis.call('HMGET', KEYS[2], 'sequence', 'mac')
local turn = redis.call('GET', KEYS[3])
if turn and turn ~= ARGV[4] then return head end
if (head[1] or '0') ~= ARGV[1] or (head[2] or string.rep('\0', 32)) ~= ARGV[2] then
  if ARGV[5] ~= '0' then redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[5]) end
  return head
end
local previous = ARGV[2]
for i = 6, #ARGV, 2 do
  redis.call('XADD', KEYS[1], '*', 'entry', ARGV[i], 'previous', previous, 'mac', ARGV[i + 1])
  previous = ARGV[i + 1]
end
redis.call('HSET', KEYS[2], 'sequence', ARGV[3], 'mac', previous)
if turn then redis.call('DEL', KEYS[3]) end
return {}
