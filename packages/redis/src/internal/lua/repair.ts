/**
 * Repair: every index is made anew from the records. Nothing of it is needed in normal operation; it is for a server that has
 * lost some keys, by a hand or by eviction.
 */

/**
 * Counts all records in one go: figures of queues, slots of keys, sizes of shelves. Answers which lanes and shelves are not
 * what the records say. Cost: 2 us a record, during which the server does nothing else.
 */
export const recount = String.raw`
local readyOf, waitingOf = {}, {}
local queues, slots, limits, lanes, shelves, parkedOf, chunks, held, total = {}, {}, {}, {}, {}, {}, {}, {}, 0
local begun, ended, kindsIn, oldest = {}, {}, {}, {}

local function add(list, name, by) list[name] = (list[name] or 0) + by end

local function seeKind(number, chunk)
  kindsIn[number] = kindsIn[number] or {}
  kindsIn[number][chunk] = true
  return kindOf(number)
end

local function seeHot(id, hot)
  local state, flags, priority, crashes, _, _, _, kind, chunk, batch, _, at = struct.unpack(LAYOUT, hot)
  kind = seeKind(kind, chunk)
  if state >= COMPLETED then add(ended, chunk, 1) end
  queues[kind.queue] = queues[kind.queue] or {}
  add(queues[kind.queue], state, 1)
  if state == READY and crashes == 0 and not hasFlag(flags, EARLY) then
    add(lanes, P .. ':l:' .. kind.queue .. ':' .. priority, 1)
  elseif state == RUNNING then
    local worker = string.sub(hot, HEAD + 1)
    held[worker] = held[worker] or {}
    add(held[worker], batch, 1)
  elseif state >= COMPLETED then
    local shelf = kind.shelves[state].name
    add(shelves, shelf, 1)
    oldest[shelf] = math.min(oldest[shelf] or at, at)
  end
  if not hasFlag(flags, MORE) then return end
  local text = call('HGET', M, id)
  -- It has lost what it had of its own: it is in its queue's figures alone.
  if not text then return end
  local its = cmsgpack.unpack(text)
  if hasFlag(flags, ADMITTED) then
    add(slots, its.key, 1)
    limits[its.key] = its.limit
    if string.byte(its.key) == 64 and state == READY then add(readyOf, its.key, 1) end
  end
  if its.blocked == 'ConcurrencyKey' and string.byte(its.key) == 64 then
    add(waitingOf, its.key, 1)
    limits[its.key] = its.limit
  end
  if its.blocked == 'NoHandler' or its.blocked == 'NewerPayload' then add(parkedOf, kind.queue, 1) end
end

local cursor = '0'
repeat
  local read = call('HSCAN', C, cursor, 'COUNT', 1000)
  cursor = read[1]
  local ids, colds = {}, {}
  for i = 1, #read[2], 2 do
    ids[#ids + 1] = read[2][i]
    colds[#colds + 1] = read[2][i + 1]
  end
  for first = 1, #ids, 1000 do
    local hots = call('HMGET', H, unpack(ids, first, math.min(first + 999, #ids)))
    for i, hot in ipairs(hots) do
      total = total + 1
      local cold = colds[first + i - 1]
      local chunk, at = tonumber(string.sub(cold, 5, 10), 16), tonumber(string.sub(cold, 11, 21), 16)
      add(chunks, chunk, 1)
      begun[chunk] = math.min(begun[chunk] or at, at)
      if hot then seeHot(ids[first + i - 1], hot)
      else
        local kind = seeKind(tonumber(string.sub(cold, 1, 4), 16), chunk)
        queues[kind.queue] = queues[kind.queue] or {}
        add(queues[kind.queue], READY, 1)
        add(lanes, P .. ':l:' .. kind.queue .. ':' .. kind.priority, 1)
      end
    end
  end
until cursor == '0'

for name in pairs(queues) do call('SADD', P .. ':qs', name) end
local parkedNow = 0
for _, name in ipairs(call('HKEYS', P .. ':sc')) do
  local at = string.match(call('HGET', P .. ':sc', name), '^%d+\31[^\31]*\31(-?%d+)')
  call('ZADD', P .. ':sn', 0, name)
  if at then call('ZADD', P .. ':sa', at, name) else call('ZREM', P .. ':sa', name) end
end
for _, name in ipairs(call('SMEMBERS', P .. ':qs')) do
  local key = P .. ':q:' .. name
  for state, letter in ipairs(letters) do
    local many = queues[name] and queues[name][state] or 0
    if many > 0 then call('HSET', key, letter, many) else call('HDEL', key, letter) end
  end
  local many = parkedOf[name] or 0
  parkedNow = parkedNow + many
  call('HSET', key, 'k', many)
  if call('HEXISTS', P .. ':li', name) == 1 then call('HSET', key, 'm', 1) end
end
call('HSET', P, 'pk', parkedNow, 'mt', string.format('%.0f', now))
call('DEL', P .. ':ku', P .. ':kl')
for key, many in pairs(slots) do
  if string.byte(key) ~= 64 then
    call('HSET', P .. ':ku', key, many)
    call('HSET', P .. ':kl', key, limits[key])
  end
end
-- Shared keys keep by when they may start; all of them are looked at.
local shared = {}
for key in pairs(limits) do if string.byte(key) == 64 then shared[key] = true end end
for _, key in ipairs(call('HKEYS', P .. ':ks')) do shared[key] = true end
for key in pairs(shared) do
  local text = call('HGET', P .. ':ks', key)
  local state = text and cmsgpack.unpack(text) or { f = 0, c = 0, b = 0 }
  state.u, state.r, state.w = slots[key] or 0, readyOf[key] or 0, waitingOf[key] or 0
  state.l, state.at = limits[key] or state.l or 1, now
  call('HSET', P .. ':ks', key, cmsgpack.pack(state))
  call('ZADD', P .. ':ko', now, key)
  call('ZADD', P .. ':kn:' .. string.match(key, '^@[^/]*'), 0, key)
  call('HSET', P, 'ka', string.format('%.0f', now))
end

for _, worker in ipairs(call('ZRANGE', P .. ':ws', 0, -1)) do call('DEL', P .. ':wn:' .. worker) end
for worker, batches in pairs(held) do
  call('DEL', P .. ':wn:' .. worker)
  local about = P .. ':wi:' .. worker
  local last = tonumber(call('HGET', about, 'b') or '0')
  for batch, many in pairs(batches) do
    call('HSET', P .. ':wn:' .. worker, batch, many)
    if batch > last then last = batch end
  end
  -- The next batch must not have the number of one of these.
  call('HSET', about, 'b', last)
end
if not K.areReasonsKnown() then for _, reason in ipairs(K.deadReasons) do call('DEL', P .. ':b:d:' .. reason) end end
call('DEL', P .. ':og', P .. ':oa', P .. ':oe')
for chunk, many in pairs(chunks) do
  local gone = math.max(0, call('STRLEN', P .. ':o:' .. chunk) / 22 - many)
  call('HSET', P .. ':og', chunk, gone)
  call('HSET', P .. ':oa', chunk, string.format('%.0f', begun[chunk]))
  call('HSET', P .. ':oe', chunk, gone + (ended[chunk] or 0))
  mark(0, chunk)
end
-- Which chunk was marked last for a kind is not known any more.
for number = 1, tonumber(call('HGET', P, 'kn') or '0') do
  call('HSET', P, 'k' .. call('HGET', P, 't' .. number), number)
end
for kind, found in pairs(kindsIn) do
  for chunk in pairs(found) do mark(kind, chunk) end
end

local broken = {}
for lane, many in pairs(lanes) do
  local queue, priority = string.match(string.sub(lane, #P + 4), '^(.*):(%-?%d+)$')
  openLane(queue, priority)
  if call('LLEN', lane) < many then broken[#broken + 1] = lane end
end
call('DEL', P .. ':fs')
for shelf, many in pairs(shelves) do
  if not string.find(shelf, ',$') then call('HSET', P .. ':fs', shelf, many) end
  if oldest[shelf] < K.shelvedFrom(shelf) then broken[#broken + 1] = shelf end
  call('ZADD', P .. ':sw', 'NX', now, shelf)
end
return { total, broken }
`

/** Puts a record into every index that it belongs to. `broken` is filled by who uses it. */
export const mending = String.raw`
local broken, logs = {}, {}
-- Keys that are waited for, and the limit that a record of each carries; edges of which nobody would tell the end.
local waiting, unheard = {}, {}
-- Called for a key that lacks something which is not added at once: set by who uses it.
local lacks

local function mendLog(row)
  local text = logs[row.chunk] or call('GET', P .. ':o:' .. row.chunk) or ''
  local from = 1
  repeat
    local at = string.find(text, row.id, from, true)
    if at and at % 22 == 1 then logs[row.chunk] = text return end
    from = at and at + 1
  until not at
  call('APPEND', P .. ':o:' .. row.chunk, row.id)
  call('DEL', P .. ':oq:' .. row.chunk)
  logs[row.chunk] = text .. row.id
end

local function mendHeld(row)
  local key = P .. ':wl:' .. row.tail
  -- Time to renew, for a worker that lives.
  call('ZADD', P .. ':ws', 'NX', now + 60000, row.tail)
  local ids = call('HGET', key, row.batch) or ''
  for at = 1, #ids, 22 do if string.sub(ids, at, at + 21) == row.id then return end end
  call('HSET', key, row.batch, ids .. row.id)
end

local waits = {
  [READY] = function(row, queue)
    if row.crashes > 0 then call('ZADD', P .. ':s:' .. queue, rank(row), row.id)
    elseif row.early or broken[P .. ':l:' .. queue .. ':' .. row.priority] then
      row.early = true
      call('ZADD', P .. ':e:' .. queue, rank(row), row.id)
    end
  end,
  [RUNNING] = mendHeld,
  [SCHEDULED] = function(row, queue) call('ZADD', P .. ':d:' .. queue, row.at, row.id) end,
  [BLOCKED] = function(row)
    local its = row.more
    call('ZADD', P .. ':b:' .. its.blocked, row.chunk, row.id)
    if its.wakes then call('ZADD', P .. ':d:' .. queueOf(row), row.at, row.id) end
    if its.blocked == 'ConcurrencyKey' then
      call('ZADD', P .. ':kw:' .. its.on, rank(row), row.id)
      waiting[its.on] = its.limit
    elseif its.blocked == 'NoHandler' or its.blocked == 'NewerPayload' then
      local kind = kindOf(row.kind)
      call('ZADD', P .. ':pk:' .. kind.tag, kind.version, row.id)
    end
  end
}

-- Whether a record has its unique key by right.
local function hasUnique(row)
  local its, unique = row.more, row.more.unique
  if not unique or unique.lost or its.blocked == 'Unique' then return false end
  if unique.window then return unique.heldUntil and now < unique.heldUntil and row.state <= COMPLETED end
  if unique.started then return isWaiting(row) end
  return not isFinal(row)
end

local function mendKeys(row)
  local its, kind = row.more, kindOf(row.kind)
  L.index(row)
  if not isFinal(row) then L.listen(row, 'SADD') end
  if isWaiting(row) then L.watchExpiry(row) end
  for _, key in ipairs(its.keys or {}) do call('HSETNX', P .. ':i', scoped(kind.tag, key), row.id) end
  if hasUnique(row) then
    local until_ = its.unique.window and string.format('%.0f', its.unique.heldUntil) or ''
    call('HSETNX', P .. ':u', scoped(kind.tag, its.unique.key), row.id .. until_)
  end
end

local firsts = {}
-- As K.shelvedFrom, asked once a shelf.
local function shelvedFrom(shelf)
  firsts[shelf] = firsts[shelf] or K.shelvedFrom(shelf)
  return firsts[shelf]
end

local lists = {}
-- Whether the list of who waits for a record has an edge. Many may wait for one: its list is read once.
local function isAwaited(id, entry)
  if not lists[id] then
    lists[id] = {}
    for _, each in ipairs(call('LRANGE', P .. ':dw:' .. id, 0, -1)) do lists[id][each] = true end
  end
  return lists[id][entry]
end

-- Notes open edges that are not in the list of whom they wait for. Who is not here is gone; or it lies in another partition, of
-- which nothing is known here.
local function mendEdges(row)
  if (row.more.pending or 0) == 0 then return end
  local edges = call('HGETALL', P .. ':dp:' .. row.id)
  for i = 1, #edges, 2 do
    local id, _, _, answer = partsOf(edges[i + 1])
    local entry = row.id .. edges[i]
    if answer == '' and not isAwaited(id, entry) and K.isWhole(id) and (load(id) or TAG == '') then
      lacks(P .. ':dw:' .. id)
      unheard[#unheard + 1] = { id = id, entry = entry }
    end
  end
end

local function mendRecord(row)
  local queue = queueOf(row)
  mendLog(row)
  if isFinal(row) then
    local shelf = kindOf(row.kind).shelves[row.state].name
    if broken[shelf] and row.at < shelvedFrom(shelf) then call('ZADD', P .. ':sorted:' .. shelf, row.at, row.id) end
    if row.state ~= COMPLETED then L.indexEnd(row) end
  else
    waits[row.state](row, queue)
  end
  if row.more then
    mendKeys(row)
    mendEdges(row)
  end
end

local function knowsItsWaits(row)
  return row.state ~= BLOCKED or row.more.blocked ~= 'Dependencies' or call('EXISTS', P .. ':dp:' .. row.id) == 1
end

local function page(cursor, many)
  local read, ids = call('HSCAN', C, cursor, 'COUNT', many), {}
  for i = 1, #read[2], 2 do ids[#ids + 1] = read[2][i] end
  return read[1], ids
end
`

/**
 * Sees to some records. ARGV: cursor, then what is broken. Records of a broken lane come back by their place, those of a
 * broken shelf are sorted first. What waits for an end that nobody would tell, or for a slot that nobody would give it, goes on.
 * Answers the next cursor, how many it has seen, how many of them were missing in an index, and how many have lost a part of their
 * own.
 *
 * Cost: some ten commands a record and one for each that it waits for, 500 records a call; safe while workers work.
 */
export const mend = String.raw`
for i = 2, #ARGV do broken[ARGV[i]] = true end
local write, isAdded = call, false
local adds = { ZADD = true, SADD = true, HSETNX = true }

function lacks() isAdded = true end

local function added(command, key, ...)
  local answer = write(command, key, ...)
  if command == 'APPEND' or adds[command] and answer == 1 then isAdded = true end
  return answer
end

local cursor, ids = page(ARGV[1], 500)
local missing, lost = 0, 0
for _, id in ipairs(ids) do
  if K.isWhole(id) then
    local row = load(id)
    if not knowsItsWaits(row) then lost = lost + 1 end
    call, isAdded = added, false
    mendRecord(row)
    call = write
    if isAdded then missing = missing + 1 end
    woken[queueOf(row)] = true
  else
    lost = lost + 1
  end
end
for _, each in ipairs(unheard) do
  local answer = L.watch(load(each.id), each.entry)
  if answer ~= '' then L.closeEdge(each.entry, answer) end
end
-- A slot that was freed while nobody was known to wait for it was handed to nobody.
for key, limit in pairs(waiting) do
  if L.isShared(key) then
    L.keyOf(key).w = call('ZCARD', P .. ':kw:' .. key)
    L.fillKey(key)
  else
    local slot = L.slotOf(key)
    -- Of a key that nobody uses none is kept.
    if not slot.kept then slot.limit = limit end
    L.handOver(key, slot)
  end
end
-- A lease that was seen to no more, because nothing was known of what it is for, is.
foresee(now)
flush()
close()
return { cursor, #ids, missing, lost }
`

/**
 * Looks whether some records, chosen at random, are in every index that they belong to: what mending would write and is not
 * there; schedules likewise. ARGV: how many, and with a cursor those at its place instead. Which record stands where in a lane is
 * not looked at; a lane as a whole has room for what the figures say.
 *
 * Answers how many records there are, at how many was looked, how many of them have lost a part of their own, how many are in not
 * all of their indexes, what is missing, and the next cursor.
 *
 * Cost: some ten commands a record and one for each that it waits for, a read of the piece of the log for each that has one of its
 * own, three commands a lane, one a shelf.
 */
export const examine = String.raw`
local ask, missing, names, isMissed = call, {}, {}, false

local function miss(key)
  isMissed = true
  if not missing[key] then names[#names + 1] = key end
  missing[key] = true
end
lacks = miss

local function last(...) return (select(select('#', ...), ...)) end

-- Whether what would be written is there.
local isThere = {
  ZADD = function(key, ...) return ask('ZSCORE', key, last(...)) end,
  SADD = function(key, member) return ask('SISMEMBER', key, member) == 1 end,
  HSETNX = function(key, field) return ask('HEXISTS', key, field) == 1 end,
  -- Written only where it was missed.
  HSET = function() return false end,
  APPEND = function() return false end,
  ZREM = function() return true end
}

function call(command, key, ...)
  local look = isThere[command]
  if not look then return ask(command, key, ...) end
  if not look(key, ...) then miss(key) end
end

local seen = {}

-- What no mending of a single record writes.
local function see(row)
  local kind, its = kindOf(row.kind), row.more or {}
  if ask('SISMEMBER', P .. ':qs', kind.queue) == 0 then miss(P .. ':qs') end
  seen[kind.queue] = seen[kind.queue] or {}
  seen[kind.queue][row.state] = (seen[kind.queue][row.state] or 0) + 1
  for _, of in ipairs({ 0, row.kind }) do
    if not ask('ZSCORE', P .. ':ok:' .. of, row.chunk) then miss(P .. ':ok:' .. of) end
  end
  for _, of in ipairs({ ':oa', ':og' }) do
    if ask('HEXISTS', P .. of, row.chunk) == 0 then miss(P .. of) end
  end
  if isFinal(row) then
    local shelf = kind.shelves[row.state]
    if row.at < shelvedFrom(shelf.name) then miss(shelf.name) end
    if shelf.age < math.huge and not ask('ZSCORE', P .. ':sw', shelf.name) then miss(P .. ':sw') end
  elseif row.state == RUNNING then
    if ask('HEXISTS', P .. ':wn:' .. row.tail, row.batch) == 0 then miss(P .. ':wn:' .. row.tail) end
    if ask('EXISTS', P .. ':wi:' .. row.tail) == 0 then miss(P .. ':wi:' .. row.tail) end
  end
  if row.admitted then
    for _, of in ipairs(string.byte(its.key) == 64 and { ':ks' } or { ':ku', ':kl' }) do
      if ask('HEXISTS', P .. of, its.key) == 0 then miss(P .. of) end
    end
  end
end

local cursor, ids = '0', nil
if ARGV[2] then cursor, ids = page(ARGV[2], ARGV[1]) else ids = ask('HRANDFIELD', C, ARGV[1]) end
local lost, wrong = 0, 0
for _, id in ipairs(ids) do
  local row = K.isWhole(id) and load(id)
  if not row or not knowsItsWaits(row) then lost = lost + 1
  else
    isMissed = false
    see(row)
    mendRecord(row)
    if isMissed then wrong = wrong + 1 end
  end
end

-- Figures that are too low, and lanes in which there is less than the figures say.
for _, name in ipairs(ask('SMEMBERS', P .. ':qs')) do
  local key = P .. ':q:' .. name
  for state, many in pairs(seen[name] or {}) do
    if tonumber(ask('HGET', key, letters[state]) or '0') < many then miss(key) end
  end
  local read = ask('HMGET', key, 'r', 's', 'l')
  local ready = ask('ZCARD', P .. ':e:' .. name) + ask('ZCARD', P .. ':s:' .. name)
  for priority in string.gmatch(read[3] or '', '[^,]+') do ready = ready + ask('LLEN', P .. ':l:' .. name .. ':' .. priority) end
  if tonumber(read[1] or '0') > ready then miss(P .. ':l:' .. name) end
  if tonumber(read[2] or '0') > ask('ZCARD', P .. ':d:' .. name) then miss(P .. ':d:' .. name) end
end

for _, name in ipairs(ask('HRANDFIELD', P .. ':sc', ARGV[1])) do
  if not ask('ZSCORE', P .. ':sn', name) then miss(P .. ':sn') end
  local attend = string.match(ask('HGET', P .. ':sc', name), '^%d+\31[^\31]*\31(-?%d+)')
  if attend and not ask('ZSCORE', P .. ':sa', name) then miss(P .. ':sa') end
end

return { ask('HLEN', C), #ids, lost, wrong, names, cursor }
`

/** Puts sorted records before what has finished meanwhile. ARGV: a shelf. Answers whether there are more. */
export const reshelve = String.raw`
local sorted = P .. ':sorted:' .. ARGV[1]
local last = call('ZPOPMAX', sorted, 1000)
for i = 1, #last, 2 do
  call('LPUSH', ARGV[1], string.format('%013.0f', tonumber(last[i + 1])) .. last[i])
end
-- Who has swept it meanwhile has seen what was on it, and when the first of that is due.
call('ZADD', P .. ':sw', now, ARGV[1])
foresee(now)
close()
return call('EXISTS', sorted)
`
