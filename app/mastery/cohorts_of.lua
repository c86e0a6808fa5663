-- The cohorts of some students of one tenant.
--
-- KEYS[i]  record of the i-th student (merge_evidence.lua describes it)
--
-- Returns for each student the cohort, "" for one without a cohort, or false for one without a record.

local cohorts = {}
for i, record in ipairs(KEYS) do
  cohorts[i] = redis.call('HGET', record, 'cohort') or (redis.call('EXISTS', record) == 1 and '')
end
return cohorts
