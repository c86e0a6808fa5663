-- Store a model, and remove the oldest ones beyond a number, but never the one that answers.
--
-- KEYS[1]  summaries of the tenant's models: hash version -> JSON (app/predictions/stored_model.py)
-- KEYS[2]  which model answers: hash (promote_model.lua describes it)
-- KEYS[3]  content of the new model: string
-- ARGV[1]  version; a later version comes later in the alphabet
-- ARGV[2]  summary
-- ARGV[3]  content
-- ARGV[4]  how many models are kept
-- ARGV[5]  prefix of the keys of contents, which end with the version; they have the same hash tag

redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[3], ARGV[3])
local versions = redis.call('HKEYS', KEYS[1])
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
