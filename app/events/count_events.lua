#!lua flags=allow-oom
-- Count events of a tenant that come over HTTP, all of them or, where they would be too many for the minute, none.
-- A server that is full lets it through (allow-oom): it is one number, and the events are kept elsewhere.
--
-- KEYS[1]  events of the minute: hash <tenant> -> those over Kafka; <tenant>/http -> those over HTTP, and
--          <tenant>/read -> as many of these as the ledger took: all there is when the server has lost the others
-- ARGV[1]  the tenant
-- ARGV[2]  how many are to be counted
-- ARGV[3]  how many a minute may have
-- ARGV[4]  for how many seconds the minute is kept
--
-- Returns 1; or 0, and nothing is counted.

local counts = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[1] .. '/http', ARGV[1] .. '/read')
local used = (tonumber(counts[1]) or 0) + math.max(tonumber(counts[2]) or 0, tonumber(counts[3]) or 0)
if used + ARGV[2] > tonumber(ARGV[3]) then return 0 end
redis.call('HINCRBY', KEYS[1], ARGV[1] .. '/http', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
