#!lua flags=allow-oom
-- Finish an erasure. It runs until close_erasure.lua closes it, so that its receipt gets into the audit trail.
--
-- KEYS[1]  the erasure: hash (accept_erasure.lua describes it)
-- ARGV[1]  id of the erasure
-- ARGV[2]  moment of its request when this attempt began
--
-- Returns 1, also for one that is finished already; or 0 if it was requested again meanwhile, or there is another one.

local id, requested, finished = unpack(redis.call('HMGET', KEYS[1], 'id', 'requested', 'finished'))
if id ~= ARGV[1] or requested ~= ARGV[2] then return 0 end
if not finished then
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'finished', string.format('%.0f', time[1] * 1000000 + time[2]))
end
return 1
