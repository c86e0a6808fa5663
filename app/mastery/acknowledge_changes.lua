-- Remove published entries of a tenant's outbox. In one step, so that an entry that is moved meanwhile is removed too; and not in
-- a transaction, which a full server rejects.
--
-- KEYS[1]  changes to be published: stream (put_scores.lua describes it)
-- KEYS[2]  the older entries: sorted set (move_changes.lua describes it)
-- ARGV[1]  the smallest id that remains
-- ARGV[2]  the same id, padded
--
-- Returns how many entries were removed.

local older = redis.call('ZREMRANGEBYLEX', KEYS[2], '-', '(' .. ARGV[2])
return older + redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[1])
