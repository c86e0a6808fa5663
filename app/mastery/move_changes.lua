-- Move the oldest entries of a tenant's stream of changes to a sorted set, in which an erasure can replace them.
--
-- KEYS[1]  changes to be published: stream (put_scores.lua describes it)
-- KEYS[2]  the older entries: sorted set of <entry id>/<at>/<field>/<value>, with all scores 0, so that members are in the order
--          of their ids; both parts of an id are padded with zeros. Every id is below those in the stream
-- ARGV[1]  how many entries
-- ARGV[2]  digits of each part of an id
--
-- Returns how many entries were moved; less than ARGV[1] if the stream is empty then. An emptied stream remains: it has the
-- last id, below which no new entry gets one.

local entries = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[1])
if #entries == 0 then return 0 end
local digits = tonumber(ARGV[2])

local function padded(part)
  return string.rep('0', digits - #part) .. part
end

local arguments = {}
for _, entry in ipairs(entries) do
  local milliseconds, sequence = entry[1]:match('(%d+)-(%d+)')
  local _, at, field, value = unpack(entry[2])
  arguments[#arguments + 1] = 0
  arguments[#arguments + 1] = table.concat({padded(milliseconds) .. '-' .. padded(sequence), at, field, value}, '/')
end
redis.call('ZADD', KEYS[2], unpack(arguments))
redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', redis.call('XLEN', KEYS[1]) - #entries)
return #entries
