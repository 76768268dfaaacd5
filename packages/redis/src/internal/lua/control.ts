/** `control` and `pause`: what operators do to records. Cost: some ten commands a record. */

/** Cancels a record: at once while it waits, and else its worker is asked to. */
export const cancel = String.raw`
function L.cancel(row, reason)
  if isFinal(row) then return 'Unchanged' end
  if row.state == RUNNING then
    if row.more and row.more.cancel or L.isEnding(row) then return 'Requested' end
    more(row).cancel = reason
    local worker = row.tail
    call('RPUSH', P .. ':wc:' .. worker, row.id)
    call('HSET', P .. ':wi:' .. worker, 'nc', 1)
    call('PUBLISH', S .. ':w', 'k' .. worker)
    return 'Requested'
  end
  if L.isEnding(row) then return 'Requested' end
  row.fence = row.fence + 1
  if L.mustUndo(row, 'Cancel', reason) then
    L.run(row, now)
    return 'Requested'
  end
  more(row).cancel = reason
  L.finish(row, CANCELLED, reason)
  return 'Changed'
end
`

/**
 * What events do to that which has not ended and listens to them: it is cancelled, or a waitpoint of it is completed. Not to the
 * records of the call itself: one that is sent again finds those that it has stored. Cost: some ten commands a record.
 */
export const events = String.raw`
local function each(on, specs, act)
  local ids, own = call('SMEMBERS', P .. ':co:' .. on), {}
  for _, spec in ipairs(#ids > 0 and specs or {}) do
    local row = knownAs(spec)
    if row then own[row.id] = true end
  end
  table.sort(ids)
  for _, id in ipairs(ids) do
    local row = load(id)
    if not row then call('SREM', P .. ':co:' .. on, id)
    elseif not own[id] then act(row) end
  end
end

function L.cancelOn(on, specs, reason)
  each(on, specs, function(row) L.cancel(row, reason) end)
end

function L.completeOn(on, specs, waitpoint, value)
  each(on, specs, function(row) L.complete(row, waitpoint, value) end)
end
`

/** ARGV: JSON of the action, JSON of the selection, ids. Answers an outcome for each that is selected, or is not there. */
export const control = String.raw`
local action, where = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local act = {}

function act.Cancel(row) return L.cancel(row, action.reason) end

-- The kind of a record whose payload is edited.
local function edited(row) return string.match(kindOf(row.kind).text, '^.*\31') .. action.version end

-- A final record runs again with a fresh budget of attempts; a waiting one gets the new payload, a scheduled one runs now.
function act.Retry(row)
  if row.state == RUNNING then return 'Unchanged' end
  local wasFinal, its = isFinal(row), row.more
  if wasFinal and not L.mayBegin(row) then return 'Unchanged' end
  -- Without what it needs it would not run: that is to run again first, and brings it along.
  if wasFinal and its and (its.broken or 0) > 0 then return 'Unchanged' end
  if not wasFinal and not action.rest and row.state ~= SCHEDULED then return 'Unchanged' end
  headOf(row)
  row.fence = row.fence + 1
  if action.rest then
    -- What is to be masked comes with the payload; the rest stays.
    row.kind = kindIn(row.chunk, edited(row))
    setCold(row, (string.match(row.rest, '^[^\31]*\31') or '\31') .. action.rest)
  end
  if wasFinal then
    L.begin(row)
    L.reopen(row)
  elseif row.state == SCHEDULED then
    L.run(row, now)
  else
    -- A worker that sleeps may have the version that a parked record has now.
    L.seeVersion(row)
    woken[queueOf(row)] = true
  end
  return 'Changed'
end

function act.Promote(row)
  if row.state ~= SCHEDULED then return 'Unchanged' end
  L.run(row, now)
  return 'Changed'
end

function act.Reschedule(row)
  if row.state ~= SCHEDULED and row.state ~= READY then return 'Unchanged' end
  local due, its = action.runAt or now + action.delay, row.more
  local isDueThen = row.state == SCHEDULED and row.at == due or row.state == READY and due <= now
  if isDueThen and not (its and its.startBefore and its.due ~= due) then return 'Unchanged' end
  L.edit(row, due)
  return 'Changed'
end

function act.Reprioritise(row)
  if isFinal(row) or row.state == RUNNING or row.priority == action.priority then return 'Unchanged' end
  row.fence = row.fence + 1
  local waitsForKey = row.state == BLOCKED and row.more.blocked == 'ConcurrencyKey'
  row.priority = action.priority
  if row.state == READY or waitsForKey then L.admit(row, false) end
  return 'Changed'
end

function act.Delete(row)
  if row.state == RUNNING then return 'Unchanged' end
  L.remove(row, 'o')
  return 'Changed'
end

-- As they are before any is acted on: what is done to one may change what waits for it.
local answers, selected = {}, {}
for i = 3, #ARGV do
  local row = load(ARGV[i])
  selected[i] = not row or L.matches(row, where)
end
if action.rest then
  local texts = {}
  for i = 3, #ARGV do
    local row = selected[i] and load(ARGV[i])
    if row then texts[#texts + 1] = edited(row) end
  end
  seeRoom(texts)
end
for i = 3, #ARGV do
  if selected[i] then
    local row = load(ARGV[i])
    answers[#answers + 1] = (row and act[action.kind](row) or 'NotFound') .. ',' .. ARGV[i]
  end
end
flush()
close()
return table.concat(answers, ';')
`

/** ARGV: queue, '1' to stop. Answers whether it changed. */
export const pause = String.raw`
local key = P .. ':q:' .. ARGV[1]
call('SADD', P .. ':qs', ARGV[1])
if ARGV[2] == '1' then return call('HSETNX', key, 'p', 1) end
local did = call('HDEL', key, 'p')
if did == 1 then woken[ARGV[1]] = true end
close()
return did
`
