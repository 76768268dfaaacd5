/** An attempt in words. */
export const attempts = String.raw`
local function attemptText(attempt, worker, startedAt, endedAt, decision, failure, trace)
  local text = string.format('{"attempt":%d,"worker":%s,"startedAt":%.0f,"endedAt":%.0f,"decision":"%s"', attempt,
    cjson.encode(worker), startedAt, endedAt, decision)
  if failure then text = text .. ',"failure":' .. failure end
  if trace then text = text .. ',"trace":' .. cjson.encode(trace) end
  return text .. '}'
end

-- The one attempt that a record keeps in its head, in words.
local function ranText(row)
  local worker, trace = string.match(row.tail, '^([^\31]*)\31?(.*)$')
  return attemptText(row.attempt, worker, row.begun, row.ready, 'completed', nil, trace ~= '' and trace or nil)
end
`

/**
 * The end of one attempt of any kind. Only the attempt that holds the fence ends the record (P3), and a settlement that is
 * sent again is answered as done (P13). Cost: some ten commands.
 */
export const settle = String.raw`
local alphabet = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'
local decisions = {
  Complete = 'completed', RetryAfter = 'retried', SnoozeFor = 'snoozed', WaitFor = 'waiting', WaitForChildren = 'waiting',
  Cancel = 'cancelled', Dead = 'dead', Release = 'released', Park = 'parked'
}

-- Moves the attempt that is kept in the head of the record to its history.
function L.unfold(row)
  if not row.ran then return end
  more(row).attempts = { ranText(row) }
  row.ran, row.tail = false, ''
end

local function failureText(row, failure, at)
  return string.format('{"attempt":%d,"at":%.0f,', row.attempt, at) .. failure
end

-- A failure that gave its attempt back has the number of the next failure, which replaces it: it fills no place.
function L.keepFailure(row, text)
  local its = more(row)
  local list = its.failures or {}
  if its.failedAttempt == row.attempt then table.remove(list) end
  list[#list + 1] = text
  if #list > 32 then table.remove(list, 1) end
  its.failures, its.failedAttempt = list, row.attempt
end

-- Takes a running record from its worker: from here on, the fence refuses whatever the attempt still writes.
function L.endAttempt(row, decision, endedAt, failure, trace)
  local worker = row.tail
  letGo(worker, row.batch, 1)
  row.batch = 0
  if row.crashes > 0 then call('HINCRBY', P .. ':wi:' .. worker, 'su', -1) end
  row.fence = row.fence + 1
  row.tail = ''
  -- Nothing is known of one that never began: whether it crashes its worker least of all.
  if decision == 'released' or decision == 'parked' then return L.seeUnique(row) end
  row.hasBegun = true
  if decision ~= 'crashed' then row.crashes = 0 end
  if decision == 'completed' and not (row.more and row.more.attempts) then
    row.ran, row.begun, row.ready = true, row.at, endedAt
    row.tail = trace and worker .. '\31' .. trace or worker
    return
  end
  local its = more(row)
  local list = its.attempts or {}
  list[#list + 1] = attemptText(row.attempt, worker, row.at, endedAt, decision, failure, trace)
  if #list > 100 then table.remove(list, 1) end
  its.attempts = list
  if failure then L.keepFailure(row, failure) end
end

-- Puts a record whose attempt is given back where it was before the claim.
function L.release(row)
  row.attempt = row.attempt - 1
  L.watchExpiry(row)
  L.admit(row, false)
end

local function park(row, reason)
  L.freeSlot(row)
  local kind = kindOf(row.kind)
  L.block(row, reason, kind.tag .. '@' .. kind.version)
  call('HINCRBY', P .. ':q:' .. kind.queue, 'k', 1)
  parked = parked + 1
  changed.pk = parked
  call('ZADD', P .. ':pk:' .. kind.tag, kind.version, row.id)
  tell('blocked', row.id, kind, row.attempt, reason)
  -- A worker that has it may sleep: it releases the record in its next exchange.
  woken[kind.queue] = true
end

-- An id as callers know it.
function L.uuidOf(id)
  local digits, bits, held = {}, 0, 0
  for i = 1, 22 do
    bits = bits * 64 + string.find(alphabet, string.sub(id, i, i), 1, true) - 1
    held = held + 6
    while held >= 4 and #digits < 32 do
      held = held - 4
      local digit = math.floor(bits / 2 ^ held)
      digits[#digits + 1] = string.format('%x', digit)
      bits = bits - digit * 2 ^ held
    end
  end
  local hex = table.concat(digits)
  return string.sub(hex, 1, 8) .. '-' .. string.sub(hex, 9, 12) .. '-' .. string.sub(hex, 13, 16) .. '-' ..
    string.sub(hex, 17, 20) .. '-' .. string.sub(hex, 21)
end

local function leaveChildren(row, s)
  -- Their ends let no record run that waits for a signal. It finds them when that comes, which may be after they are gone.
  local isAwaited = s.outcome == 'WaitForChildren' or s.outcome == 'WaitFor'
  local named = {}
  for _, spec in ipairs(s.children) do named[spec.id] = spec end
  local ended = isAwaited and L.forgetChildren(row, named, s.outcome == 'WaitForChildren') or {}
  for _, spec in ipairs(s.children) do
    if ended[spec.id] then
      -- While this one ran, and it may be gone: how is known.
    elseif spec.to then
      local number = isAwaited and L.connect(row, spec.id, '3', L.uuidOf(spec.id), true)
      L.send(spec, number and row.id .. number or '')
    else
      local _, id = enqueueOne(spec)
      local child = load(id)
      if isAwaited and child and not isFinal(child) then L.connect(row, child.id, '3', L.uuidOf(child.id)) end
    end
  end
end

-- What is to be undone (atOnce) waits for nothing: a request to cancel it is over, and nobody could ask for it again.
local conclude = {
  Complete = function(row, s)
    if s.result then
      call('HSET', P .. ':r', row.id, s.result)
      row.hasResult = true
    end
    L.finish(row, COMPLETED)
  end,
  RetryAfter = function(row, s, atOnce)
    if s.uncharged then row.attempt = row.attempt - 1 end
    L.run(row, atOnce and now or now + s.delay)
    tell('retried', row.id, kindOf(row.kind), row.attempt, s.failureTag)
  end,
  SnoozeFor = function(row, s, atOnce)
    row.attempt = row.attempt - 1
    if s.closes == 'queue' or s.closes == 'key' and L.isShared(row.more and row.more.key) then
      L.close(row, s.closes, now + s.delay)
      if s.closes == 'queue' and s.partitions then L.closeElsewhere(queueOf(row), s.partitions, now + s.delay) end
      -- It keeps its turn while its queue is closed: nothing of its key starts before it.
      if s.closes == 'key' then L.freeSlot(row) end
      L.admit(row, false)
    else
      L.run(row, atOnce and now or now + s.delay)
    end
    tell('retried', row.id, kindOf(row.kind), row.attempt, s.failureTag, true)
  end,
  WaitFor = function(row, s, atOnce)
    row.attempt = row.attempt - 1
    if atOnce or call('HEXISTS', P .. ':cp:' .. row.id, s.waitpoint) == 1 then return L.run(row, now) end
    L.freeSlot(row)
    L.block(row, 'Waitpoint', s.waitpoint)
    if s.delay then L.wakeAt(row, now + s.delay) end
    tell('blocked', row.id, kindOf(row.kind), row.attempt, s.waitpoint)
  end,
  WaitForChildren = function(row, s, atOnce)
    row.attempt = row.attempt - 1
    if atOnce or not row.more or (row.more.pending or 0) == 0 then return L.run(row, now) end
    L.freeSlot(row)
    L.block(row, 'Children')
    if s.delay then L.wakeAt(row, now + s.delay) end
  end,
  Cancel = function(row, s)
    more(row).cancel = s.reason
    L.finish(row, CANCELLED, s.reason)
  end,
  Dead = function(row, s)
    more(row).deadReason = s.reason
    L.finish(row, DEAD, s.failureTag or s.reason)
  end,
  Release = function(row) L.release(row) end,
  Park = function(row, s)
    row.attempt = row.attempt - 1
    L.watchExpiry(row)
    park(row, s.reason)
  end
}

-- An outcome after which the record would run again: one whose cancellation was requested does not.
local function isOpen(outcome) return outcome ~= 'Complete' and outcome ~= 'Dead' and outcome ~= 'Cancel' end

function L.settle(s)
  local row = load(s.id)
  if not row then
    local gone = call('HGET', P .. ':gone', s.id)
    return gone and tonumber(string.sub(gone, 1, -2)) == s.fence and 'Done' or 'LeaseLost'
  end
  if row.settled == s.fence then return 'Done' end
  if row.state ~= RUNNING or row.fence ~= s.fence then return 'LeaseLost' end
  local endedAt = math.min(now, row.at + s.after)
  local reason = isOpen(s.outcome) and row.more and row.more.cancel
  local isUndoing = reason and L.mustUndo(row, 'Cancel', reason)
  if isUndoing then reason = nil end
  local failure = s.failure and failureText(row, s.failure, endedAt)
  L.endAttempt(row, reason and 'cancelled' or decisions[s.outcome], endedAt, failure, s.trace)
  if failure and row.hasBegun then L.errorTag(row, s.failureTag) end
  row.settled = s.fence
  if s.children then leaveChildren(row, s) end
  if row.admitted and L.isShared(row.more.key) then L.ended(row.more.key, s) end
  if reason then L.finish(row, CANCELLED, reason) else conclude[s.outcome](row, s, isUndoing) end
  return 'Done'
end
`
