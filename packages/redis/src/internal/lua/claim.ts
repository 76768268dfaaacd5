/**
 * Claims: records that are due become ready, then the next ones by priority and place are taken.
 *
 * Fast: of records in turn that were never touched, whatever a batch shares is made once: 2 reads, 2 writes and a pop for
 * all of them. Records with a history, or with something of their own, go one by one.
 *
 * `also`: what else tells that a worker could claim one more.
 */
export const claim = (also: string): string =>
  String.raw`
-- How many entries of lanes whose records have left an exchange passes over.
local passable = 5000
local queues, used, suspects, batch = {}, {}, tonumber(about[1] or '0'), nil
-- Id or line, and the record as it was enqueued, by turns; the ids of the batch.
local claimed, claims, held, holds = {}, 0, {}, 0

local function queueState(name)
  local queue = queues[name]
  if queue then return queue end
  local read = call('HMGET', P .. ':q:' .. name, 'l', 'p', 'm')
  queue = { name = name, lanes = {}, isPaused = read[2] and true, isLimited = read[3] and true, given = 0 }
  for lane in string.gmatch(read[1] or '', '[^,]+') do queue.lanes[#queue.lanes + 1] = tonumber(lane) end
  queues[name] = queue
  return queue
end

-- Due records become ready, at most a thousand a call: those without anything of their own all at once.
local function promote(queue)
  local first = call('ZRANGE', P .. ':d:' .. queue.name, 0, 0, 'WITHSCORES')
  if #first == 0 then return end
  queue.nextDue = tonumber(first[2])
  if queue.nextDue > now then return end
  local ids = call('ZRANGEBYSCORE', P .. ':d:' .. queue.name, '-inf', now, 'LIMIT', 0, 1000)
  local hots = call('HMGET', H, unpack(ids))
  local made, values, lanes, gone, many = {}, {}, {}, {}, 0
  for i, id in ipairs(ids) do
    local hot = hots[i]
    local ready = hot and made[hot]
    if not hot then
      -- An entry without a record.
      gone[#gone + 1] = id
      many = many - 1
    elseif ready == nil then
      local state, flags, priority, crashes, fence, settled, attempt, kind, chunk, _, _, due, begun =
        struct.unpack(LAYOUT, hot)
      if flags % 2 == 1 or crashes > 0 then
        ready = false
      else
        ready = { priority = priority, hot = struct.pack(LAYOUT, READY, flags, priority, crashes, fence, settled, attempt,
          kind, chunk, 0, now, now, begun, due) .. string.sub(hot, HEAD + 1) }
      end
      made[hot] = ready
    end
    if ready then
      values[#values + 1] = id
      values[#values + 1] = ready.hot
      local lane = lanes[ready.priority]
      if not lane then lane = {} lanes[ready.priority] = lane end
      lane[#lane + 1] = id .. stamp
      gone[#gone + 1] = id
    elseif hot then
      local lib = general()
      lib.run(lib.load(id), 0)
    end
  end
  many = many + #gone
  if #gone > 0 then call('ZREM', P .. ':d:' .. queue.name, unpack(gone)) end
  if many > 0 then
    call('HSET', H, unpack(values))
    count(queue.name, SCHEDULED, -many)
    count(queue.name, READY, many)
    for priority, lane in pairs(lanes) do
      if call('RPUSH', P .. ':l:' .. queue.name .. ':' .. priority, unpack(lane)) == #lane then
        openLane(queue.name, priority)
      end
    end
  end
  -- Some may have opened a lane.
  flushAll()
  queues[queue.name] = nil
  local again = queueState(queue.name)
  local rest = call('ZRANGE', P .. ':d:' .. queue.name, 0, 0, 'WITHSCORES')
  again.nextDue = rest[2] and tonumber(rest[2])
end

-- The number of this exchange's batch of claims.
local function batchOf()
  batch = batch or call('HINCRBY', P .. ':wi:' .. worker, 'b', 1)
  return batch
end

local heads = {}
-- What a head of untouched records says, with what all claims of it share. Its entry has no place.
local function headOfMany(text)
  local head = heads[text]
  if head then return head end
  local kind, at = kindOf(tonumber(string.sub(text, 1, 4), 16)), tonumber(string.sub(text, 11), 16)
  head = {
    kind = kind.number, place = '', rank = at, ready = at, priority = kind.priority, attempt = 1,
    hot = struct.pack(LAYOUT, RUNNING, 0, kind.priority, 0, 1, 0, 1, kind.number, tonumber(string.sub(text, 5, 10), 16),
      batchOf(), at, now, now, at) .. worker
  }
  heads[text] = head
  return head
end

local warm = {}
-- The same of records that have been scheduled or tried, or have a key, and nothing of their own; false of others. Its place
-- is false when it is not in a lane.
local function warmHead(hot, text)
  local of = warm[hot]
  if not of then of = {} warm[hot] = of end
  local head = of[text]
  if head ~= nil then return head end
  local state, flags, priority, crashes, fence, settled, attempt, kind, chunk, _, place, _, begun, ready =
    struct.unpack(LAYOUT, hot)
  head = false
  local isBare = flags >= KEYED
  local isEarly = flags % KEYED >= EARLY
  if isEarly then flags = flags - EARLY end
  if flags % KEYED < CHECKPOINTS and crashes == 0 then
    -- A claim before it was given back, where nothing has begun.
    local since = math.floor(flags / BEGUN) % 2 == 1 and begun or now
    head = {
      kind = kind, rank = place, ready = ready, priority = priority, attempt = attempt + 1, isEarly = isEarly,
      isKeyed = flags % 2 == 1, isBare = isBare,
      place = state == READY and not isEarly and (place == tonumber(string.sub(text, 11), 16) and '' or string.format('%.0f', place)),
      hot = struct.pack(LAYOUT, RUNNING, flags, priority, 0, fence + 1, settled, attempt + 1, kind, chunk, batchOf(), place, now, since,
        ready) .. worker,
      -- One that nobody has touched but to give it a slot: the reader knows the rest.
      reply = not (fence == 0 and attempt == 0 and since == now and ready == tonumber(string.sub(text, 11), 16)) and '\31' .. table.concat({ kind, priority, attempt + 1, fence + 1, 0, string.format('%.0f', since),
        string.format('%.0f', ready), '', '', '' }, '\31')
    }
  end
  of[text] = head
  return head
end

-- What an entry of a lane stands for: whether it still does, and its head, or nil when it takes the library.
local function headOfEntry(entry, priority, hot, cold)
  local text = string.sub(cold, 1, 21)
  local head
  if hot then head = warmHead(hot, text) else head = heads[text] or headOfMany(text) end
  if not head then
    local lib = general()
    return lib.isInLane(lib.load(string.sub(entry, 1, 22)), priority, string.sub(entry, 23)), nil
  end
  return head.priority == priority and head.place == (#entry == 22 and '' or string.sub(entry, 23)), head
end

-- One of any kind. Answers whether it was given out: one that was to start earlier is dead instead.
local function take(queue, row)
  if not general().claim(row) then return false end
  queue.given = queue.given + 1
  return true
end

-- Gives one to the worker whose head is known. What is to be written of it comes after the others' n values.
local function give(id, head, cold, values, n)
  values[n + 1], values[n + 2] = id, head.hot
  holds = holds + 1
  held[holds] = id
  -- Of one that nobody has touched the reader knows the rest.
  claimed[claims + 1], claimed[claims + 2] = head.reply and id .. head.reply or id, cold
  claims = claims + 2
  used[head.kind] = true
  if isHeard then tell('started', id, kindOf(head.kind), head.attempt, nil, nil, head.ready) end
end

-- Writes those that were given. Answers how many.
local function written(queue, values, n)
  local many = n / 2
  if many > 0 then
    call('HSET', H, unpack(values))
    count(queue.name, READY, -many)
    count(queue.name, RUNNING, many)
    queue.given = queue.given + many
  end
  return many
end

local sub, byte = string.sub, string.byte

-- Whether a text begins as K.packed begins one, by its first thirty characters: records that were stored together have the same.
local bareHeads = setmetatable({}, { __index = function(known, head)
  local isBare = string.find(head, '^\131\163due\207........\165limit\206....\163key\218$') ~= nil
  known[head] = isBare
  return isBare
end })

-- The key of a record that has a key and nothing of its own, nil of others. One that ends must not listen either: it stops that.
local function keyIn(text, ends)
  if bareHeads[sub(text, 1, 30)] then return sub(text, 33) end
  local its = cmsgpack.unpack(text)
  return general().isLight(its) and not (ends and its.listens) and its.key or nil
end

-- What records have beside their heads, by place: of those that it is asked for, by their flags.
local function moresOf(ids, hots, asks)
  local last, isAsked, n, asked = nil, false, 0, {}
  for i = 1, #ids do
    local hot = hots[i]
    -- Most have the same head as the one before.
    if hot ~= last then last, isAsked = hot, hot and asks(byte(hot, 2, 3)) end
    if isAsked then
      n = n + 1
      asked[n] = i
    end
  end
  if n == 0 then return asked end
  if n == #ids then return call('HMGET', M, unpack(ids)) end
  local found, mores = {}, {}
  for i = 1, n do found[i] = ids[asked[i]] end
  local texts = call('HMGET', M, unpack(found))
  for i = 1, n do mores[asked[i]] = texts[i] end
  return mores
end

-- Who is as it was stored is in a lane and has the slot of its key.
local function asksToStart(flags, high) return flags % 2 == 1 and high * 256 < KEYED end

-- The keys of those that have one and nothing of their own, by place. Shared ones are read, since each start asks for one.
local function keysToStart(ids, hots)
  local keys, shared = {}, {}
  for i, text in pairs(moresOf(ids, hots, asksToStart)) do
    local key = text and keyIn(text)
    keys[i] = key or nil
    if key and byte(key) == 64 then shared[#shared + 1] = key end
  end
  if #shared > 0 then general().readKeys(shared) end
  return keys
end

local started = {}
-- Whether one with a head may start as it says, with all others: it has no key, or a key that lets it. A lane may have more
-- than one entry of it.
local function startsWith(queue, head, id, key)
  if not head.isKeyed then return true end
  if not head.isBare then
    if not key then return false end
    if byte(key) == 64 then
      local lib = general()
      if not lib.mayStart(key) then return false end
      lib.noteStart(key, queue.name, head.rank)
    end
  end
  started[id] = true
  return true
end

-- Entries that were popped from a lane, in turn. Answers how many were given out.
local function takeMany(queue, entries, priority)
  flushAll()
  local names = entries
  for i = 1, #entries do
    if #entries[i] > 22 then
      names = {}
      for n = 1, #entries do names[n] = string.sub(entries[n], 1, 22) end
      break
    end
  end
  local hots, colds = call('HMGET', H, unpack(names)), call('HMGET', C, unpack(names))
  local keys = keysToStart(names, hots)
  local given, values, n = 0, {}, 0
  for i = 1, #names do
    local cold = colds[i]
    if cold then
      local counts, head = headOfEntry(entries[i], priority, hots[i], cold)
      if started[names[i]] then
        -- The same one once more.
      elseif counts and not (head and startsWith(queue, head, names[i], keys[i])) then
        local lib = general()
        local row = lib.load(names[i])
        if lib.isInLane(row, priority, string.sub(entries[i], 23)) and take(queue, row) then given = given + 1 end
      elseif counts then
        give(names[i], head, cold, values, n)
        n = n + 2
      end
    end
  end
  local many = written(queue, values, n)
  passable = passable - (#names - many - given)
  return given + many
end

-- Records that came back to their place, in turn. Answers how many were given out.
local function takeBack(queue, ids)
  flushAll()
  local hots, colds = call('HMGET', H, unpack(ids)), call('HMGET', C, unpack(ids))
  local keys = keysToStart(ids, hots)
  local given, values, n, gone = 0, {}, 0, {}
  for i, id in ipairs(ids) do
    local hot, cold = hots[i], colds[i]
    local head = hot and cold and warmHead(hot, string.sub(cold, 1, 21))
    if head and head.isEarly and startsWith(queue, head, id, keys[i]) then
      give(id, head, cold, values, n)
      n = n + 2
      gone[#gone + 1] = id
    elseif hot and cold then
      if take(queue, general().load(id)) then given = given + 1 end
    else
      -- An entry without a record.
      gone[#gone + 1] = id
    end
  end
  if #gone > 0 then call('ZREM', P .. ':e:' .. queue.name, unpack(gone)) end
  return given + written(queue, values, n)
end

-- The first entry of a lane that counts, and its place; those before it go.
local function firstOf(queue, priority)
  flushAll()
  local lane = P .. ':l:' .. queue.name .. ':' .. priority
  while passable > 0 do
    local entry = call('LINDEX', lane, 0)
    if not entry then return nil end
    local id = string.sub(entry, 1, 22)
    local cold = call('HGET', C, id)
    if cold then
      local counts, head = headOfEntry(entry, priority, call('HGET', H, id), cold)
      if counts then return entry, head and head.rank or general().load(id).place end
    end
    call('LPOP', lane)
    passable = passable - 1
  end
end

-- The first of the records that came back, and whether it is one that crashed a worker: a worker takes one of those at a
-- time, beside its other work.
local function returned(queue)
  flushAll()
  local early = call('ZRANGE', P .. ':e:' .. queue.name, 0, 0, 'WITHSCORES')
  if suspects > 0 then return early[1], tonumber(early[2] or '') end
  local suspect = call('ZRANGE', P .. ':s:' .. queue.name, 0, 0, 'WITHSCORES')
  if suspect[1] and (not early[1] or tonumber(suspect[2]) < tonumber(early[2])) then
    return suspect[1], tonumber(suspect[2])
  end
  return early[1], tonumber(early[2] or '')
end

-- Those that came back to a place before this rank, up to a thousand; before one that crashed a worker, where that is its turn.
local function returnedBefore(queue, rank, limit)
  flushAll()
  if suspects == 0 then
    local suspect = call('ZRANGE', P .. ':s:' .. queue.name, 0, 0, 'WITHSCORES')
    if suspect[1] then rank = math.min(rank, tonumber(suspect[2])) end
  end
  local before = rank < math.huge and '(' .. string.format('%.0f', rank) or '+inf'
  return call('ZRANGEBYSCORE', P .. ':e:' .. queue.name, '-inf', before, 'LIMIT', 0, math.min(limit, 1000))
end

local function claimFrom(queue, limit)
  if queue.isLimited then limit = math.min(limit, roomIn(queue)) end
  if queue.isPaused or queue.isEmpty or limit <= 0 then return end
  local left = limit
  local back, backRank = returned(queue)
  local at = 1
  while left > 0 and passable > 0 do
    local priority = queue.lanes[at]
    if not back and not priority then queue.isEmpty = true return end
    if priority and (not back or backRank >= (1 - priority) * 17592186044416) then
      -- Nobody came back to a place among these. Lua passes no more than some eight thousand arguments.
      local entries = call('LPOP', P .. ':l:' .. queue.name .. ':' .. priority, math.min(left, 2000))
      if entries then left = left - takeMany(queue, entries, priority) else at = at + 1 end
    else
      local entry, rank
      if priority then entry, rank = firstOf(queue, priority) end
      if entry then rank = rank - priority * 17592186044416 end
      if entry and (rank < backRank or rank == backRank and string.sub(entry, 1, 22) < back) then
        left = left - takeMany(queue, { call('LPOP', P .. ':l:' .. queue.name .. ':' .. priority) }, priority)
      elseif priority and not entry and backRank > -priority * 17592186044416 then
        at = at + 1
      else
        local before = entry and rank or priority and -priority * 17592186044416 or math.huge
        local ids = returnedBefore(queue, before, left)
        if #ids > 0 then left = left - takeBack(queue, ids)
        elseif take(queue, general().load(back)) then left = left - 1 end
        back, backRank = returned(queue)
      end
    end
  end
end

-- Whether this worker could claim one more right now.
local function hasMore(queue)
  if queue.isPaused then return false end
  ${also}
  if queue.isEmpty then return false end
  if returned(queue) then return true end
  for _, priority in ipairs(queue.lanes) do
    if firstOf(queue, priority) then return true end
  end
  -- It has looked at enough: whether there is more is for the next exchange to see.
  return passable <= 0
end
`

/** What a claim of any kind takes of the library. */
export const claimAny = String.raw`
function L.isInLane(row, priority, place)
  return row.state == READY and not row.early and row.crashes == 0 and row.priority == priority and
    row.place == (tonumber(place) or headOf(row).at)
end

local function listText(list) return list and #list > 0 and '[' .. table.concat(list, ',') .. ']' or '' end

local function checkpointsText(row)
  if not row.hasCheckpoints then return '' end
  local all, size, some = call('HGETALL', P .. ':cp:' .. row.id), 0, {}
  for i = 1, #all, 2 do
    size = size + #all[i] + #all[i + 1]
    if size <= 65536 or string.sub(all[i], 1, 1) == '!' then some[all[i]] = all[i + 1] end
  end
  -- A name that nobody can give says that there are more.
  if size > 65536 then some[''] = '' end
  return cjson.encode(some)
end

-- Gives one record to the worker, unless it was to start earlier.
function L.claim(row)
  local expiresAt = isUntouched(row) and L.expiresAt(row)
  if expiresAt and now >= expiresAt then
    L.expire(row)
    return false
  end
  if row.admitted and L.isShared(row.more.key) and not L.start(row, -row.priority * 17592186044416 + row.place) then
    return false
  end
  headOf(row)
  L.move(row, RUNNING)
  row.at = now
  if not row.hasBegun then row.begun = now end
  row.attempt = row.attempt + 1
  row.fence = row.fence + 1
  row.tail = worker
  row.batch = batchOf()
  holds = holds + 1
  held[holds] = row.id
  if row.crashes > 0 then
    suspects = suspects + 1
    call('HINCRBY', P .. ':wi:' .. worker, 'su', 1)
  end
  tell('started', row.id, kindOf(row.kind), row.attempt, nil, nil, row.ready)
  local its = row.more
  used[row.kind] = true
  claimed[claims + 1] = table.concat({
    row.id, row.kind, row.priority, row.attempt, row.fence, row.crashes, string.format('%.0f', row.begun),
    string.format('%.0f', row.ready), listText(its and its.failures), checkpointsText(row),
    L.resultsText(row)
  }, '\31')
  claimed[claims + 2] = headText(row) .. row.rest
  claims = claims + 2
  return true
end
`
