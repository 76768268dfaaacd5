/**
 * `schedules`, `putSchedule` and `tick`. Each write names the revision that it has read; a tick stores its records in the
 * write that moves the schedule on (P8). Cost: three commands a schedule, and some ten for each record.
 */

/** ARGV: name to begin after, how many, or '' and names. Answers the clock, and names and texts by turns. */
export const schedules = String.raw`
local names, answer = {}, {}
if ARGV[2] ~= '' then
  local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
  names = call('ZRANGEBYLEX', P .. ':sn', from, '+', 'LIMIT', 0, ARGV[2])
else
  for i = 3, #ARGV do names[#names + 1] = ARGV[i] end
  table.sort(names)
end
for _, name in ipairs(names) do
  local text = call('HGET', P .. ':sc', name)
  if text then
    answer[#answer + 1] = name
    answer[#answer + 1] = text
  end
end
return { string.format('%.0f', now), answer }
`

/** A schedule as text, and back: revision, next instant, when to see to it, count, the last tick, and its body. */
export const scheduleText = String.raw`
local function readSchedule(name)
  local text = call('HGET', P .. ':sc', name)
  if not text then return nil end
  local q = {}
  q.revision, q.nextAt, q.attendAt, q.count, q.last, q.id, q.body =
    string.match(text, '^(%d+)\31(-?%d*)\31(-?%d*)\31(%d+)\31([^\31]*)\31([^\31]*)\31(.*)$')
  q.count = tonumber(q.count)
  return q
end

local function writeSchedule(name, q)
  call('HSET', P .. ':sc', name, table.concat({
    string.format('%.0f', q.revision), q.nextAt, q.attendAt, string.format('%.0f', q.count), q.last, q.id, q.body
  }, '\31'))
  if q.attendAt == '' then call('ZREM', P .. ':sa', name)
  else
    call('ZADD', P .. ':sa', q.attendAt, name)
    foresee(tonumber(q.attendAt))
  end
end
`

/** ARGV: name, revision, '1' to remove it, next instant, when to see to it, body. Answers whether it was of this revision. */
export const putSchedule = String.raw`
local name = ARGV[1]
local q = readSchedule(name)
if tonumber(q and q.revision or '0') ~= tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '1' then
  call('HDEL', P .. ':sc', name)
  call('ZREM', P .. ':sn', name)
  call('ZREM', P .. ':sa', name)
  return 1
end
if not q then
  call('ZADD', P .. ':sn', 0, name)
  q = { revision = 0, count = 0, last = '', id = '' }
end
q.revision = q.revision + 1
q.nextAt, q.attendAt, q.body = ARGV[4], ARGV[5], ARGV[6]
writeSchedule(name, q)
close()
return 1
`

/**
 * ARGV: name, revision, next instant as it was read, overlap, JSON of the ticks, next instant, when to see to it, '1' for
 * another body, that, '1' when it was asked for by hand, limit. Answers the clock, and outcome and id by turns; '' when the
 * schedule is not as it was read any more.
 */
export const tick = String.raw`
local name, overlap, limit = ARGV[1], ARGV[4], tonumber(ARGV[11]) or math.huge
local q = readSchedule(name)
if not q then return '' end
if tonumber(q.revision) ~= tonumber(ARGV[2]) or q.nextAt ~= ARGV[3] then return '' end
local answer, ticks, records = { string.format('%.0f', now) }, cjson.decode(ARGV[5]), {}
for i, each in ipairs(ticks) do records[i] = each.record end
seeRoomFor(records, meta[4])
for _, each in ipairs(ticks) do
  if q.count >= limit then break end
  local outcome, id = 'Enqueued', nil
  local previous = overlap ~= 'allow' and q.id ~= '' and load(q.id)
  if previous and not isFinal(previous) then
    if overlap == 'skip' then outcome = 'Skipped'
    else L.cancel(previous, 'schedule ' .. name .. ': its next tick came') end
  end
  if outcome == 'Enqueued' then
    local how
    how, id = enqueueOne(each.record)
    -- One that was there is none of the schedule's, for the next tick to cancel or to wait for.
    if how ~= 'Existing' then q.id = id end
    if ARGV[10] ~= '1' then q.count = q.count + 1 end
  end
  q.last = string.format('%.0f,%.0f,%.0f,%s', each.at, each.dueAt, now, outcome)
  answer[#answer + 1] = outcome
  answer[#answer + 1] = id or q.id
end
q.revision = q.revision + 1
q.nextAt, q.attendAt = ARGV[6], ARGV[7]
if q.count >= limit then q.nextAt, q.attendAt = '', '' end
if ARGV[8] == '1' then q.body = ARGV[9] end
writeSchedule(name, q)
flush()
close()
return table.concat(answer, ',')
`

/** Schedules to see to, for `maintain`: whoever is given one has five seconds for it before somebody else is. */
export const attend = String.raw`
local given = {}
for _, name in ipairs(call('ZRANGEBYSCORE', P .. ':sa', '-inf', now, 'LIMIT', 0, 100)) do
  local q = readSchedule(name)
  if q then
    q.attendAt = string.format('%.0f', now + 5000)
    writeSchedule(name, q)
    given[#given + 1] = name
    given[#given + 1] = call('HGET', P .. ':sc', name)
  else
    call('ZREM', P .. ':sa', name)
  end
end
`
