-- Remove the oldest entries of a trail, and atomically store the last removed one in the anchor.
--
-- KEYS[1]     the trail: stream
-- KEYS[2]     its anchor: hash sequence | mac | seal of the last removed entry
-- ARGV[1]     sequence of the anchor that the caller expects, "" for no anchor
-- ARGV[2]     id of the oldest entry to keep
-- ARGV[3..5]  the new anchor: sequence, mac, seal
--
-- Returns the number of removed entries; nil, without removing any, if another process was faster.

if (redis.call('HGET', KEYS[2], 'sequence') or '') ~= ARGV[1] then return nil end
local removed = redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
redis.call('HSET', KEYS[2], 'sequence', ARGV[3], 'mac', ARGV[4], 'seal', ARGV[5])
return removed
