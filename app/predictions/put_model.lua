-- Store a model, and remove the oldest ones beyond a number, but never the one that answers; and those whose content has expired.
--
-- KEYS[1]  summaries of the tenant's models: hash version -> JSON (app/predictions/stored_model.py)
-- KEYS[2]  which model answers: hash (promote_model.lua describes it)
-- KEYS[3]  content of the new model: string
-- KEYS[4]  lease of the training
-- ARGV[1]  version; a later version comes later in the alphabet
-- ARGV[2]  summary
-- ARGV[3]  content
-- ARGV[4]  how many models are kept
-- ARGV[5]  prefix of the keys of contents, which end with the version; they have the same hash tag
-- ARGV[6]  time to live in seconds
-- ARGV[7]  token of the lease that must be held, "" for none
--
-- Returns 1 if it was stored, 0 if the lease is not held.

if ARGV[7] ~= '' and redis.call('GET', KEYS[4]) ~= ARGV[7] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[6])
redis.call('EXPIRE', KEYS[1], ARGV[6])
local versions = {}
for _, version in ipairs(redis.call('HKEYS', KEYS[1])) do
  if redis.call('EXISTS', ARGV[5] .. version) == 1 then
    versions[#versions + 1] = version
  else
    redis.call('HDEL', KEYS[1], version)
  end
end
table.sort(versions)
local surplus, promoted = #versions - tonumber(ARGV[4]), redis.call('HGET', KEYS[2], 'promoted')
for _, version in ipairs(versions) do
  if surplus > 0 and version ~= promoted and version ~= ARGV[1] then
    redis.call('HDEL', KEYS[1], version)
    redis.call('DEL', ARGV[5] .. version)
    surplus = surplus - 1
  end
end
return 1
