#!lua flags=allow-oom
-- Count a request in its caller's moving window, if the window has room for it.
-- A server that is full lets it through (allow-oom): a window is small, and gone when its time has passed.
--
-- KEYS[1]  the requests counted in the window: list of milliseconds since 1970-01-01, the latest first
-- KEYS[2…] strings that the caller wants to know as well, which saves a round trip
-- ARGV[1]  how many requests a window may hold
-- ARGV[2]  the length of the window in milliseconds
-- ARGV[3]  1: the last key is that of a hash, which is wanted if the request is counted
--
-- Returns how many more it may hold now, or -1 when it is full and nothing was counted; in how many milliseconds the oldest
-- request leaves it; the strings; and the hash, each field followed by its value. A request is popped once: whatever the limit, a
-- call costs what one request costs, on average.

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
