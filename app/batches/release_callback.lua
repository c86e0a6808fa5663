#!lua flags=allow-oom
-- Give up the claim of a callback, to attempt it again later or never. Without effect if the lease has ended and another process
-- has the claim. A full server does this too, since nothing is added.
--
-- KEYS[1]  when each callback is to be attempted: sorted set tenant/batch -> milliseconds since 1970-01-01
-- KEYS[2]  tenants with a callback in hand: sorted set tenant -> end of its lease, likewise
-- ARGV[1]  tenant/batch
-- ARGV[2]  tenant
-- ARGV[3]  end of the lease, as claimed
-- ARGV[4]  milliseconds to wait before the next attempt; '' for never
--
-- Returns nothing.

local ends = tonumber(ARGV[3])
if tonumber(redis.call('ZSCORE', KEYS[2], ARGV[2]) or '0') == ends then redis.call('ZREM', KEYS[2], ARGV[2]) end
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0') ~= ends then return end
if ARGV[4] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4], ARGV[1])
end
