#!lua flags=allow-oom
-- Count a tenant's events that arrive over HTTP: all, or none if they exceed the quota of the minute.
-- Runs on a full server (allow-oom): it stores a single number, and the events go to Kafka.
--
-- KEYS[1]  events of the minute: hash <tenant> -> those over Kafka; <tenant>/http -> those over HTTP;
--          <tenant>/read -> how many of the latter the ledger accepted, a lower bound if the server lost the /http count
-- ARGV[1]  the tenant
-- ARGV[2]  number of events
-- ARGV[3]  the tenant's quota per minute
-- ARGV[4]  for how many seconds the counts of a minute are kept
--
-- Returns 1; or 0, without counting.

local counts = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[1] .. '/http', ARGV[1] .. '/read')
local used = (tonumber(counts[1]) or 0) + math.max(tonumber(counts[2]) or 0, tonumber(counts[3]) or 0)
if used + ARGV[2] > tonumber(ARGV[3]) then return 0 end
redis.call('HINCRBY', KEYS[1], ARGV[1] .. '/http', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
