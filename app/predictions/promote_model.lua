-- Let a model answer, or none.
--
-- KEYS[1]  summaries of the tenant's models: hash version -> JSON
-- KEYS[2]  which model answers: hash. promoted = its version, missing for none; before = the versions that answered before, the
--          latest first, each followed by a blank, "-" for none; attempted, outcome, failed: app/predictions/model_store.py
-- KEYS[3]  lease of the training
-- ARGV[1]  version, "" for none
-- ARGV[2]  how many earlier versions are remembered
-- ARGV[3]  prefix of the keys of contents, as in put_model.lua
-- ARGV[4]  token of the lease that must be held, "" for none
--
-- Returns 1, 0 if there is no such model or it has expired, or -1 if the lease is not held.

if ARGV[4] ~= '' and redis.call('GET', KEYS[3]) ~= ARGV[4] then return -1 end
if ARGV[1] ~= '' and (redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 or redis.call('EXISTS', ARGV[3] .. ARGV[1]) == 0) then
  return 0
end
local held = redis.call('HMGET', KEYS[2], 'promoted', 'before')
if (held[1] or '') == ARGV[1] then return 1 end
local before, count = {(held[1] or '-')}, 1
for version in (held[2] or ''):gmatch('%S+') do
  if count < tonumber(ARGV[2]) then
    count = count + 1
    before[count] = version
  end
end
redis.call('HSET', KEYS[2], 'before', table.concat(before, ' ') .. ' ')
if ARGV[1] == '' then
  redis.call('HDEL', KEYS[2], 'promoted')
else
  redis.call('HSET', KEYS[2], 'promoted', ARGV[1])
end
return 1
