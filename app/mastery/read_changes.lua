-- Read the oldest entries of a tenant's outbox. In one step, since an erasure moves entries from one key to the other.
--
-- KEYS[1]  changes to be published: stream (put_scores.lua describes it)
-- KEYS[2]  the older entries: sorted set (move_changes.lua describes it)
-- ARGV[1]  how many entries
--
-- Returns the members of the sorted set, and the entries of the stream after them.

local limit = tonumber(ARGV[1])
local older = redis.call('ZRANGEBYLEX', KEYS[2], '-', '+', 'LIMIT', 0, limit)
local newer = {}
if #older < limit then newer = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', limit - #older) end
return {older, newer}
