-- Keep the scores derived from the facts of some students of one tenant, unless a newer revision of the facts was scored already.
--
-- KEYS[1]       students of the tenant: sorted set student_id -> day of its score
-- KEYS[2]       cohorts of the tenant: set
-- KEYS[i+2]     record of the i-th student (merge_evidence.lua describes it)
-- ARGV[1]       prefix of the keys of the cohorts' rankings: sorted set student_id -> mastery, 0..1
-- ARGV[4i-2]    id of the i-th student
-- ARGV[4i-1]    revision of the facts that were scored
-- ARGV[4i]      day they were scored for
-- ARGV[4i+1]    mastery in millionths
--
-- Writes field score = {revision, day, millionths} and ranked = the cohort in whose ranking the student stands. A record that is
-- gone (expired, erased) is not brought back, nor is one that began anew scored with the old one's revision. The ranking of the former cohort is named by the record itself: it cannot be a
-- declared key, but carries the same hash tag. Returns the number of scores kept.

local kept = 0
for i = 1, #KEYS - 2 do
  local record, student = KEYS[i + 2], ARGV[4 * i - 2]
  local revision, day, millionths = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 1])
  local held = redis.call('HMGET', record, 'window', 'score', 'cohort', 'ranked')
  local former = held[2] and cmsgpack.unpack(held[2]) or {0, -1, -1}
  if held[1] and former[1] < revision and revision <= cmsgpack.unpack(held[1])[1] then
    local cohort, ranked = held[3], held[4]
    local moves = cohort ~= ranked
    if moves and ranked then
      redis.call('ZREM', ARGV[1] .. ranked, student)
      redis.call('HDEL', record, 'ranked')
    end
    if moves and cohort then
      redis.call('SADD', KEYS[2], cohort)
      redis.call('HSET', record, 'ranked', cohort)
    end
    redis.call('HSET', record, 'score', cmsgpack.pack({revision, day, millionths}))
    -- Most events change neither day nor mastery: the large sorted sets are left alone then.
    if day ~= former[2] then redis.call('ZADD', KEYS[1], day, student) end
    if cohort and (moves or millionths ~= former[3]) then
      redis.call('ZADD', ARGV[1] .. cohort, millionths / 1000000, student)
    end
    kept = kept + 1
  end
end
return kept
