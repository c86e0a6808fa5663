-- Let the model answer that did before the present one: the latest of the earlier ones that still exists, or none.
--
-- KEYS[1]  summaries of the tenant's models: hash version -> JSON
-- KEYS[2]  which model answers: hash (promote_model.lua describes it)
-- ARGV[1]  the version that must answer now, or "" for any
-- ARGV[2]  prefix of the keys of contents, as in put_model.lua
--
-- Returns the version that answers then, "-" for none; or nothing if there is nothing to go back from, or another one answers
-- now. If no earlier version is remembered any more, none answers then.

local function is_kept(version)
  return version and redis.call('HEXISTS', KEYS[1], version) == 1 and redis.call('EXISTS', ARGV[2] .. version) == 1
end

local held = redis.call('HMGET', KEYS[2], 'promoted', 'before')
local rest = held[2] or ''
if (rest == '' and not held[1]) or (ARGV[1] ~= '' and ARGV[1] ~= held[1]) then return false end
local earlier = '-'
while rest ~= '' do
  local version, others = rest:match('^(%S+) (.*)$')
  rest = others or ''
  if version == '-' or is_kept(version) then
    earlier = version
    break
  end
end
if earlier == '-' then
  redis.call('HDEL', KEYS[2], 'promoted')
else
  redis.call('HSET', KEYS[2], 'promoted', earlier)
end
redis.call('HSET', KEYS[2], 'before', rest)
return earlier
