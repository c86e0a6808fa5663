#!lua flags=allow-oom
-- Append all entries to a trail, or none if its head is not the one that the writer expects.
-- Runs on a full server (allow-oom): no response is sent without its entry, and reads must still work.
--
-- KEYS[1]       the trail: stream with the fields entry, previous (the preceding entry's seal) and mac (its own seal)
-- KEYS[2]       its head: hash sequence | mac of the last entry
-- KEYS[3]       the turn: name of a writer that lost too often and goes next, for some milliseconds
-- ARGV[1], [2]  sequence and mac of the head that the writer expects; 0 and zeros for a trail that does not exist
-- ARGV[3]       sequence of the last entry to append
-- ARGV[4]       the writer's name
-- ARGV[5]       for how many milliseconds the writer wants the turn if this fails; 0: not at all
-- then pairs    entry, mac
--
-- Returns {}, or the actual head {sequence, mac} without appending: another process was faster or has the turn, or the server
-- lost its latest writes.

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
