#!lua flags=allow-oom
-- Count a request in its caller's sliding window, unless the limit is reached.
-- Runs on a full server (allow-oom): a window is small, and expires.
--
-- KEYS[1]  the requests in the window: list of milliseconds since 1970-01-01, latest first
-- KEYS[2…] strings to read in the same round trip
-- ARGV[1]  the limit
-- ARGV[2]  the length of the window in milliseconds
-- ARGV[3]  1: the last key is that of a hash to read if the request is counted
--
-- Returns the remaining requests, or -1 if the limit is reached and nothing was counted; in how many milliseconds the oldest
-- request leaves the window; the strings; the hash as fields followed by their values. Each request is popped once, so the
-- amortized cost of a call is constant.

local time = redis.call('TIME')  -- the server's clock: those of the callers may differ
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local room, length = tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = tonumber(redis.call('LINDEX', KEYS[1], -1) or now)
while oldest <= now - length do
  redis.call('RPOP', KEYS[1])
  oldest = tonumber(redis.call('LINDEX', KEYS[1], -1) or now)
end
local strings = #KEYS - ARGV[3]
local known = strings > 1 and redis.call('MGET', unpack(KEYS, 2, strings)) or {}
room = room - redis.call('LLEN', KEYS[1])
if room <= 0 then return {-1, oldest + length - now, known, {}} end
redis.call('LPUSH', KEYS[1], now)
redis.call('PEXPIRE', KEYS[1], length)
return {room - 1, oldest + length - now, known, ARGV[3] == '1' and redis.call('HGETALL', KEYS[#KEYS]) or {}}
