import { brief } from "./context.ts"

/**
 * The moves that every verb is made of: the transition table in Lua. Cost: a handful of commands a record, O(log n) each.
 */
export const life = String.raw`
local L = { load = load }

-- The order of claims as one number: higher priority, then place.
local function rank(row) return -row.priority * 17592186044416 + row.place end
local function scoped(tag, key) return tag .. '\31' .. key end

-- Takes a record out of wherever it waits. In a lane it stays as an entry that is passed over.
local function leave(row)
  local queue = queueOf(row)
  if row.state == READY then
    if row.crashes > 0 then call('ZREM', P .. ':s:' .. queue, row.id)
    elseif row.early then
      if early[queue] and early[queue][row.id] then early[queue][row.id] = nil
      else call('ZREM', P .. ':e:' .. queue, row.id) end
      row.early = false
    end
  elseif row.state == SCHEDULED then
    call('ZREM', P .. ':d:' .. queue, row.id)
  elseif row.state == BLOCKED then
    local its = row.more or {}
    if its.blocked then call('ZREM', P .. ':b:' .. its.blocked, row.id) end
    if its.wakes then
      call('ZREM', P .. ':d:' .. queue, row.id)
      more(row).wakes = nil
    end
    if its.blocked == 'ConcurrencyKey' then
      call('ZREM', P .. ':kw:' .. its.on, row.id)
      if L.isShared(its.on) then L.keyOf(its.on).w = L.keyOf(its.on).w - 1 end
    elseif its.blocked == 'NoHandler' or its.blocked == 'NewerPayload' then
      call('ZREM', P .. ':pk:' .. kindOf(row.kind).tag, row.id)
      call('HINCRBY', P .. ':q:' .. queue, 'k', -1)
      parked = parked - 1
      changed.pk = parked
    end
    if its.blocked then
      more(row).blocked = nil
      row.more.on = nil
    end
  end
end

function L.move(row, to)
  leave(row)
  local queue = queueOf(row)
  if row.more and row.more.startBefore and (to == RUNNING or to >= COMPLETED) then call('ZREM', P .. ':x', row.id) end
  count(queue, row.state, -1)
  count(queue, to, 1)
  row.state = to
end

function L.block(row, reason, on)
  L.move(row, BLOCKED)
  local its = more(row)
  its.blocked, its.on = reason, on
  call('ZADD', P .. ':b:' .. reason, row.chunk, row.id)
end

-- A blocked record goes on at this instant, when nothing else lets it.
function L.wakeAt(row, at)
  row.at = at
  more(row).wakes = true
  local queue = queueOf(row)
  call('ZADD', P .. ':d:' .. queue, at, row.id)
  woken[queue] = true
end

-- It runs only to undo its steps.
function L.isEnding(row)
  return row.more and row.more.undo and call('HEXISTS', P .. ':cp:' .. row.id, '!end') == 1
end

-- Whether a record that is to end while no attempt of it decides must run once more, because a step of it can be undone. How
-- it is to end is kept for that attempt, and is no request any more.
function L.mustUndo(row, tag, reason)
  if not (row.more and row.more.undo) then return false end
  call('HSETNX', P .. ':cp:' .. row.id, '!end', cjson.encode({ _tag = tag, reason = reason }))
  more(row).cancel = nil
  return true
end

-- Lets a record run at an instant: scheduled when that is to come, else ready with a new place.
function L.run(row, dueAt)
  if dueAt > now then
    L.freeSlot(row)
    L.move(row, SCHEDULED)
    row.at = dueAt
    local queue = queueOf(row)
    call('ZADD', P .. ':d:' .. queue, dueAt, row.id)
    -- Who has room now may have none then: all are told, and each has a timer of its own.
    woken[queue] = true
  else
    row.place = L.placeOf(row.more and row.more.key, queueOf(row))
    row.ready = row.state == SCHEDULED and math.min(row.at, now) or now
    L.admit(row, true)
  end
end

-- Takes a slot of a key of one job, where there is one.
function L.takeSlot(key, limit)
  local slot = L.slotOf(key)
  slot.limit = limit
  if slot.used >= slot.limit then return false end
  slot.used = slot.used + 1
  return true
end

-- Has an entry pushed to the end of a lane.
local function push(queue, priority, entry)
  local lane = P .. ':l:' .. queue .. ':' .. priority
  local ready = pushes[lane]
  if not ready then ready = { queue = queue, priority = priority } pushes[lane] = ready end
  ready[#ready + 1] = entry
  if #ready == 2000 then flushReady() end
end

-- Has a record added to those that came back, or look at their key.
local function addEarly(queue, id, rank)
  early[queue] = early[queue] or {}
  early[queue][id] = rank
end

-- Makes a record ready, at the end of its lane or at the place that it had; or blocked while its key has no slot.
function L.admit(row, isNew)
  local key = row.more and row.more.key
  local isShared = L.isShared(key)
  if isShared then
    if not L.admitShared(row, key, rank(row)) then return end
  elseif key and not row.admitted then
    if not L.takeSlot(key, row.more.limit) then
      L.block(row, 'ConcurrencyKey', key)
      call('ZADD', P .. ':kw:' .. key, rank(row), row.id)
      return
    end
    row.admitted = true
  end
  L.move(row, READY)
  row.at = now
  local queue = queueOf(row)
  if row.crashes > 0 then
    -- Not for a worker that holds another one: nobody knows who can take it, so all are told.
    woken[queue] = true
    call('ZADD', P .. ':s:' .. queue, rank(row), row.id)
  elseif isNew and not isShared then
    local entry = row.id
    if row.place ~= headOf(row).at then entry = entry .. string.format('%.0f', row.place) end
    push(queue, row.priority, entry)
  else
    row.early = true
    addEarly(queue, row.id, rank(row))
  end
  noteReady(queue, 1)
end

local function slotFrom(used, limit)
  return { used = tonumber(used or '0'), limit = tonumber(limit or '1'), kept = tonumber(limit or '') }
end

-- How a key of one job stands.
function L.slotOf(key)
  touchedSlots[key] = true
  local slot = slots[key]
  if not slot then
    slot = slotFrom(call('HGET', P .. ':ku', key), call('HGET', P .. ':kl', key))
    slots[key] = slot
  end
  return slot
end

-- Reads many that are about to be asked for.
function L.readSlots(keys)
  for first = 1, #keys, 1000 do
    local few = { unpack(keys, first, math.min(first + 999, #keys)) }
    local used, limits = call('HMGET', P .. ':ku', unpack(few)), call('HMGET', P .. ':kl', unpack(few))
    for i, key in ipairs(few) do
      slots[key] = slots[key] or slotFrom(used[i], limits[i])
    end
  end
end

-- Keys of one job for which nobody waits, and those for which somebody does. Most often there are none of these: they are
-- looked for together.
local function byWaiting(keys)
  local free, waited = {}, {}
  for first = 1, #keys, 1000 do
    local waits, last = {}, math.min(first + 999, #keys)
    for i = first, last do waits[#waits + 1] = P .. ':kw:' .. keys[i] end
    local isAny = call('EXISTS', unpack(waits)) > 0
    for i = first, last do
      local of = isAny and call('EXISTS', waits[i - first + 1]) == 1 and waited or free
      of[#of + 1] = keys[i]
    end
  end
  return free, waited
end

-- The next record that waits for a key. One that is gone, or has lost what it had of its own, would hold up all behind it.
function L.nextOf(key)
  local first = call('ZPOPMIN', P .. ':kw:' .. key)
  while #first > 0 do
    local row = K.isWhole(first[1]) and load(first[1])
    if row then return row end
    if L.isShared(key) then L.keyOf(key).w = L.keyOf(key).w - 1 end
    first = call('ZPOPMIN', P .. ':kw:' .. key)
  end
end

-- Gives freed slots of a key to the next records that wait for them.
function L.handOver(key, slot)
  while slot.used < slot.limit do
    local row = L.nextOf(key)
    if not row then return end
    L.admit(row, false)
  end
end

-- Gives the slot of a record's key to the next record that waits for it.
function L.freeSlot(row)
  if not row.admitted then return end
  row.admitted = false
  local key = row.more.key
  if L.isShared(key) then return L.freeShared(row, key) end
  local slot = L.slotOf(key)
  slot.used = slot.used - 1
  L.handOver(key, slot)
end

-- The same for records that have completed: keys of one job, shared ones, and how many of each. Where nobody waits it takes a
-- handful of commands for all.
function L.freeSlots(own, shared, many)
  -- Another settlement of this call may have changed them.
  K.reread()
  local waited
  if K.areWaiting() then own, waited = byWaiting(own) end
  K.takeOff(own, many)
  if waited then
    L.readSlots(waited)
    for _, key in ipairs(waited) do
      local slot = L.slotOf(key)
      slot.used = slot.used - many[key]
      L.handOver(key, slot)
    end
  end
  L.readKeys(shared)
  for _, key in ipairs(shared) do
    local state = L.keyOf(key)
    L.ended(key, { outcome = 'Complete' })
    state.u = state.u - many[key]
    L.fillKey(key)
  end
end

-- What a record has that nobody but readers asks for, beside its key: it is claimed and completed with others.
function L.isLight(its)
  return its.key and not (its.unique or its.startBefore or its.blocked or its.edges or its.pending or its.awaited or its.left or
    its.attempts or its.failures or its.cancel or its.undo or its.successor or its.broken)
end

function L.expiresAt(row)
  local its = row.more
  return its and its.startBefore and its.due + its.startBefore
end

-- A parked record is released for a worker that has the version of the contents that it has now.
function L.seeVersion(row)
  local blocked = row.state == BLOCKED and row.more.blocked
  if blocked ~= 'NoHandler' and blocked ~= 'NewerPayload' then return end
  local kind = kindOf(row.kind)
  call('ZADD', P .. ':pk:' .. kind.tag, kind.version, row.id)
end

-- Watches that a waiting record starts in time, from whenever that instant changes until it starts or ends.
function L.watchExpiry(row)
  local at = isUntouched(row) and L.expiresAt(row)
  if not at then
    if row.more and row.more.startBefore then call('ZREM', P .. ':x', row.id) end
    return
  end
  call('ZADD', P .. ':x', at, row.id)
  foresee(at)
end

-- Notes what a record listens to, as long as it has not ended; or forgets it.
function L.listen(row, command)
  for _, on in ipairs(row.more and row.more.listens or {}) do call(command, P .. ':co:' .. on, row.id) end
end

-- Who holds a unique key now. until started: the record that waits for its first start.
function L.holder(tag, key)
  local held = call('HGET', P .. ':u', scoped(tag, key))
  if not held then return nil end
  local row = load(string.sub(held, 1, 22))
  if not row then return nil end
  if #held > 22 then return now < tonumber(string.sub(held, 23)) and row or nil end
  if row.more.unique.started then return isWaiting(row) and row or nil end
  return not isFinal(row) and row or nil
end

-- Gives a record its unique key. A window counts from here.
function L.hold(row)
  local unique = row.more and row.more.unique
  if not unique then return end
  local held = row.id
  unique.lost = nil
  if unique.window then
    -- Of one that another may trail, from when it is due.
    unique.heldUntil = unique.window + (unique.policy == 'trailing' and math.max(now, row.more.due) or now)
    row.isNewMore = true
    held = held .. string.format('%.0f', unique.heldUntil)
  end
  call('HSET', P .. ':u', scoped(kindOf(row.kind).tag, unique.key), held)
end

-- Another record has the key of this one from now on: this one has it no more, also when that one is cancelled. So that repair
-- knows who has a key.
function L.lose(row) more(row).unique.lost = true end

-- A record that is given back unstarted has its key again, unless another one has taken it.
function L.seeUnique(row)
  local unique = row.more and row.more.unique
  if not unique or not unique.started then return end
  local held = call('HGET', P .. ':u', scoped(kindOf(row.kind).tag, unique.key))
  if not held or string.sub(held, 1, 22) ~= row.id then L.lose(row) end
end

function L.freeUnique(row)
  local unique = row.more and row.more.unique
  if not unique then return end
  local name = scoped(kindOf(row.kind).tag, unique.key)
  local held = call('HGET', P .. ':u', name)
  if held and string.sub(held, 1, 22) == row.id then call('HDEL', P .. ':u', name) end
end

-- The record that waits for the end of this one: one that was cancelled, deleted or has expired meanwhile does not.
function L.successorOf(row)
  local id = row.more and row.more.successor
  local successor = id and load(id)
  return successor and successor.state == BLOCKED and successor.more and successor.more.blocked == 'Unique' and successor
    or nil
end

-- Lets the successor of a record go on, with the key unless a third one has it.
local function releaseSuccessor(row)
  local successor = L.successorOf(row)
  if not successor then return end
  more(row).successor = nil
  local holder = L.holder(kindOf(successor.kind).tag, successor.more.unique.key)
  if not holder or holder == row then
    if holder then L.lose(row) end
    L.hold(successor)
  end
  local its = more(successor)
  if (its.pending or 0) == 0 then return L.run(successor, its.due) end
  call('ZREM', P .. ':b:Unique', successor.id)
  call('ZADD', P .. ':b:Dependencies', successor.chunk, successor.id)
  its.blocked, its.on = 'Dependencies', nil
end

-- By chunk, for searches: what was cancelled, and what is dead, that also by its reason.
function L.indexEnd(row)
  call('ZADD', P .. ':b:' .. letters[row.state], row.chunk, row.id)
  if row.state == DEAD then call('ZADD', P .. ':b:d:' .. row.more.deadReason, row.chunk, row.id) end
end

-- Ends a record's life, and lets go on who waited for the end.
function L.finish(row, to, reason)
  L.freeSlot(row)
  L.move(row, to)
  row.at = now
  noteEnds(row.chunk, 1)
  local its = row.more
  L.listen(row, 'SREM')
  if its and its.unique then
    -- A window outlives a completed record; cancelled and dead ones free their key at once.
    if to ~= COMPLETED or not its.unique.window then L.freeUnique(row) end
    releaseSuccessor(row)
  end
  local kind = kindOf(row.kind)
  shelve(kind, to, row.id, 1)
  if to ~= COMPLETED then L.indexEnd(row) end
  tell(to == COMPLETED and 'completed' or to == CANCELLED and 'cancelled' or 'dead', row.id, kind, row.attempt, reason)
  if its and its.awaited then L.tellEnd(row) end
end

function L.expire(row)
  row.fence = row.fence + 1
  more(row).deadReason = 'Expired'
  L.finish(row, DEAD, 'Expired')
  L.follow(row)
end

-- Forgets a finished record's place on its shelf. The entry stays and is passed over.
function L.unshelve(row)
  local shelf = kindOf(row.kind).shelves[row.state]
  if shelf.limit < math.huge then call('HINCRBY', P .. ':fs', shelf.name, -1) end
  if row.state ~= COMPLETED then call('ZREM', P .. ':b:' .. letters[row.state], row.id) end
  if row.state == DEAD then call('ZREM', P .. ':b:d:' .. row.more.deadReason, row.id) end
end

-- A block: a script has no more than 200 locals.
do
local thinned = 0

-- The ids of a chunk of the log whose records are in it, each once. A record may have been stored again, in another one.
local function idsLeft(chunk)
  local text, left, seen = call('GET', P .. ':o:' .. chunk) or '', {}, {}
  for first = 1, #text, 22000 do
    local ids = {}
    for at = first, math.min(first + 22000, #text + 1) - 22, 22 do ids[#ids + 1] = string.sub(text, at, at + 21) end
    for i, hot in ipairs(call('HMGET', H, unpack(ids))) do
      local id, isIn = ids[i], nil
      -- What is read of it may be to be written still.
      if rows[id] ~= nil then isIn = rows[id] and rows[id].chunk == chunk
      elseif hot then isIn = select(3, struct.unpack('${brief}', hot)) == chunk
      else isIn = call('HEXISTS', C, id) == 1 end
      if isIn and not seen[id] then left[#left + 1] = id end
      seen[id] = true
    end
  end
  return left
end

local function dropChunk(chunk)
  for _, about in ipairs({ ':og', ':oa', ':oe' }) do call('HDEL', P .. about, chunk) end
  call('DEL', P .. ':o:' .. chunk, P .. ':oq:' .. chunk)
  for kind = 0, tonumber(call('HGET', P, 'kn')) do call('ZREM', P .. ':ok:' .. kind, chunk) end
  ends[chunk] = nil
end

-- Writes a chunk without the ids that are gone.
local function thin(chunk, length)
  local left = idsLeft(chunk)
  if #left == 0 then return dropChunk(chunk) end
  call('SET', P .. ':o:' .. chunk, table.concat(left))
  call('HSET', P .. ':og', chunk, 0)
  call('HINCRBY', P .. ':oe', chunk, #left - length / 22)
  call('DEL', P .. ':oq:' .. chunk)
end

-- A record of a chunk is gone. One that is full goes with its last record, and is thinned each time when half of it is gone, or one
-- that is kept for a month would keep a thousand ids: two reads for each that goes, in all. Of many that are half gone by one call
-- eight are thinned, the others by the next removal of theirs.
function L.leaveLog(chunk)
  local gone = call('HINCRBY', P .. ':og', chunk, 1) * 22
  if chunk >= tonumber(meta[4] or '0') then return end
  local length = call('STRLEN', P .. ':o:' .. chunk)
  if gone >= length then return dropChunk(chunk) end
  if gone * 2 < length or thinned == 8 then return end
  thinned = thinned + 1
  thin(chunk, length)
end
end

-- Forgets a record, for an operator or its retention.
function L.remove(row, by)
  local kind = kindOf(row.kind)
  L.freeSlot(row)
  leave(row)
  if isFinal(row) then L.unshelve(row) else noteEnds(row.chunk, 1) end
  count(kind.queue, row.state, -1)
  local its = row.more
  if its then
    if its.startBefore then call('ZREM', P .. ':x', row.id) end
    if its.unique then
      L.freeUnique(row)
      releaseSuccessor(row)
    end
    for _, key in ipairs(its.keys or {}) do call('HDEL', P .. ':i', scoped(kind.tag, key)) end
    L.unindex(row)
    L.listen(row, 'SREM')
  end
  if its and its.awaited then L.tellGone(row) end
  if its and its.edges then call('DEL', P .. ':dp:' .. row.id) end
  rows[row.id] = false
  call('HDEL', H, row.id)
  call('HDEL', C, row.id)
  if its then call('HDEL', M, row.id) end
  if row.hasResult then call('HDEL', P .. ':r', row.id) end
  if row.hasProgress then call('HDEL', P .. ':g', row.id) end
  if row.hasLogs then call('DEL', P .. ':lg:' .. row.id) end
  if row.hasCheckpoints then call('DEL', P .. ':cp:' .. row.id) end
  L.leaveLog(row.chunk)
  L.remember(row, by)
  tell('deleted', row.id, kind, row.attempt)
end

-- Of the last 10,000 that are gone it is known what removed them, and their last settlement when it is sent again.
function L.remember(row, by)
  call('HSET', P .. ':gone', row.id, row.settled .. by)
  if call('RPUSH', P .. ':gl', row.id) > 10000 then call('HDEL', P .. ':gone', call('LPOP', P .. ':gl')) end
end

-- Of the last 10,000 calls that have changed a record instead of storing their own it is known which: sent again because its reply
-- was lost, one would change it once more, or be stored beside what it has changed and has run meanwhile.
function L.rememberCall(id, row)
  call('HSET', P .. ':call', id, row.id)
  if call('RPUSH', P .. ':cl', id) > 10000 then call('HDEL', P .. ':call', call('LPOP', P .. ':cl')) end
end

-- Sorted sets by chunk, for searches: labels, flow and parent of the records that have them.
local function indexes(its)
  local keys = {}
  for _, label in ipairs(its.labels or {}) do keys[#keys + 1] = P .. ':il:' .. label end
  if its.flow then keys[#keys + 1] = P .. ':if:' .. its.flow end
  if its.parent then keys[#keys + 1] = P .. ':ip:' .. its.parent end
  if its.errorTag then keys[#keys + 1] = P .. ':ie:' .. its.errorTag end
  return keys
end

-- What is to be added to them, by key, while many records are stored: it is written at once.
local indexing

function L.index(row)
  for _, key in ipairs(indexes(row.more)) do
    local list = indexing and indexing[key]
    if indexing and not list then list = {} indexing[key] = list end
    if list then list[#list + 1], list[#list + 2] = row.chunk, row.id
    else call('ZADD', key, row.chunk, row.id) end
  end
end

-- Stores many, none of which is changed or removed meanwhile.
function L.indexTogether(store)
  indexing = {}
  store()
  for key, list in pairs(indexing) do
    for first = 1, #list, 2000 do call('ZADD', key, unpack(list, first, math.min(first + 1999, #list))) end
  end
  indexing = nil
end

function L.unindex(row)
  for _, key in ipairs(indexes(row.more)) do call('ZREM', key, row.id) end
end

-- The tag of the last failure, by which records are searched for.
function L.errorTag(row, tag)
  local its = more(row)
  if its.errorTag == tag then return end
  if its.errorTag then call('ZREM', P .. ':ie:' .. its.errorTag, row.id) end
  its.errorTag = tag
  if tag then call('ZADD', P .. ':ie:' .. tag, row.chunk, row.id) end
end
`
