-- Remove the oldest entries of a trail, and note the last of them in the same step.
--
-- KEYS[1]     the trail: stream
-- KEYS[2]     its anchor: hash sequence | mac | seal of the last entry that was removed
-- ARGV[1]     sequence in the anchor as the caller believes it, "" for no anchor
-- ARGV[2]     id of the oldest entry that stays
-- ARGV[3..5]  the new anchor: sequence, mac, seal
--
-- Returns how many were removed; nil if another process was first, and nothing is removed.

if (redis.call('HGET', KEYS[2], 'sequence') or '') ~= ARGV[1] then return nil end
local removed = redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
redis.call('HSET', KEYS[2], 'sequence', ARGV[3], 'mac', ARGV[4], 'seal', ARGV[5])
return removed
