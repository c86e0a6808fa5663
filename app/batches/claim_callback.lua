#!lua flags=allow-oom
-- Claim the callback that has been due for longest, of a tenant that has no other one in hand.
--
-- A claimed callback is due again when the lease ends, so one whose process died is attempted again. A full server does this too:
-- nothing is added but the names of a few tenants.
--
-- KEYS[1]  when each callback is to be attempted: sorted set tenant/batch -> milliseconds since 1970-01-01
-- KEYS[2]  tenants with a callback in hand: sorted set tenant -> end of its lease, likewise
-- ARGV[1]  length of the lease in milliseconds
--
-- Passes over the due callbacks of these tenants: 0.2 ms per thousand.
-- Returns the callback and the end of the lease, or nothing.

local PAGE = 500  -- callbacks that are read at once

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local busy = {}
for _, tenant in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do busy[tenant] = true end
local passed = 0
while true do
  local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', passed, PAGE)
  for _, name in ipairs(due) do
    local tenant = string.match(name, '^[^/]*')
    if not busy[tenant] then
      local ends = now + tonumber(ARGV[1])
      redis.call('ZADD', KEYS[1], ends, name)
      redis.call('ZADD', KEYS[2], ends, tenant)
      return {name, ends}
    end
  end
  if #due < PAGE then return {} end
  passed = passed + PAGE
end
