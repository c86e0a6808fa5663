#!lua flags=allow-oom
-- Remove some malformed messages. The stream is written anew: a deleted entry would remain in its memory, and in its dumps, until
-- the entries around it are deleted too. It has at most a hundred entries.
--
-- KEYS[1]  malformed messages: stream
-- ARGV[…]  ids of the entries to remove
--
-- Returns the number of removed entries.

local dropped = {}
for _, id in ipairs(ARGV) do dropped[id] = true end
local entries, seconds = redis.call('XRANGE', KEYS[1], '-', '+'), redis.call('TTL', KEYS[1])
redis.call('DEL', KEYS[1])
local removed = 0
for _, entry in ipairs(entries) do
  if dropped[entry[1]] then
    removed = removed + 1
  else
    redis.call('XADD', KEYS[1], entry[1], unpack(entry[2]))
  end
end
if removed < #entries and seconds > 0 then redis.call('EXPIRE', KEYS[1], seconds) end
return removed
