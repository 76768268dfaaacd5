/** Reading and writing single records: what is not on the fast way of a verb. Cost: two reads and a write a record. */
export const record = String.raw`
local rows = {}
-- How keys of one job and shared keys stand, by name, and which of them are to be written.
local slots, touchedSlots, sharedKeys, touchedKeys = {}, {}, {}, {}
-- What becomes ready and is not in its lane yet, or not among those that came back: by lane, and by queue.
local pushes, early = {}, {}

-- The record as it was enqueued: kind, chunk and instant in 21 digits, then what readers look at and the payload.
local function headText(row)
  return string.format('%04x%06x%011x', row.kind, row.chunk, row.head.at)
end

local function headOf(row)
  if row.head then return row.head end
  local cold = call('HGET', C, row.id)
  row.head = {
    kind = tonumber(string.sub(cold, 1, 4), 16), chunk = tonumber(string.sub(cold, 5, 10), 16),
    at = tonumber(string.sub(cold, 11, 21), 16)
  }
  row.rest = string.sub(cold, 22)
  return row.head
end

-- Other contents of a record.
local function setCold(row, rest)
  row.rest = rest
  row.isNewCold = true
end

-- The kind of a record with another priority or version.
local function kindWith(kind, chunk, queue, priority, version)
  local number = intern(kind.tag .. '\31' .. (queue or kind.queue) .. '\31' .. kind.keep .. '\31' .. priority .. '\31' .. version)
  mark(number, chunk)
  return number
end

local function hasFlag(flags, flag) return math.floor(flags / flag) % 2 == 1 end

local function unpackHot(id, raw)
  local row = { id = id, raw = raw }
  local flags
  row.state, flags, row.priority, row.crashes, row.fence, row.settled, row.attempt, row.kind, row.chunk, row.batch, row.place,
    row.at, row.begun, row.ready = struct.unpack(LAYOUT, raw)
  row.tail = string.sub(raw, HEAD + 1)
  row.ran, row.hasBegun, row.admitted = hasFlag(flags, RAN), hasFlag(flags, BEGUN), hasFlag(flags, ADMITTED)
  row.early, row.hasResult = hasFlag(flags, EARLY), hasFlag(flags, RESULT)
  row.hasProgress, row.hasLogs = hasFlag(flags, PROGRESS), hasFlag(flags, LOGS)
  row.hasCheckpoints = hasFlag(flags, CHECKPOINTS)
  if hasFlag(flags, MORE) then row.more = cmsgpack.unpack(call('HGET', M, id)) end
  return row
end

local function packHot(row)
  local flags = (row.more and MORE or 0) + (row.ran and RAN or 0) + (row.hasBegun and BEGUN or 0) +
    (row.admitted and ADMITTED or 0) + (row.early and EARLY or 0) + (row.hasResult and RESULT or 0) +
    (row.hasProgress and PROGRESS or 0) + (row.hasLogs and LOGS or 0) + (row.hasCheckpoints and CHECKPOINTS or 0)
  return struct.pack(LAYOUT, row.state, flags, row.priority, row.crashes, row.fence, row.settled, row.attempt, row.kind,
    row.chunk, row.batch, row.place, row.at, row.begun, row.ready) .. row.tail
end

-- A record by its id, nil when there is none. What is changed of it is written by flush.
local function load(id)
  local row = rows[id]
  if row ~= nil then return row or nil end
  local raw = call('HGET', H, id)
  if raw then
    row = unpackHot(id, raw)
  elseif call('HEXISTS', C, id) == 1 then
    row = { id = id, state = READY, crashes = 0, fence = 0, settled = 0, attempt = 0, batch = 0, begun = 0, tail = '' }
    local head = headOf(row)
    row.kind, row.chunk, row.place, row.priority = head.kind, head.chunk, head.at, kindOf(head.kind).priority
    row.at, row.ready = head.at, head.at
  else
    row = false
  end
  rows[id] = row
  return row or nil
end

-- Fields and values by turns, n of both: as many in a command as the stack holds.
local function setAll(key, values, n)
  for first = 1, n, 2000 do call('HSET', key, unpack(values, first, math.min(first + 1999, n))) end
end

local function more(row)
  if not row.more then row.more = {} end
  row.isNewMore = true
  return row.more
end

-- Keys of one job, at most a thousand: those that nobody uses or waits for are forgotten.
local function writeSlots(keys)
  local used, limits, n, l, idle, waits = {}, {}, 0, 0, {}, {}
  for _, key in ipairs(keys) do
    local slot = slots[key]
    if slot.used <= 0 then
      idle[#idle + 1] = key
      waits[#waits + 1] = P .. ':kw:' .. key
    end
    used[n + 1], used[n + 2] = key, slot.used
    n = n + 2
    if slot.limit ~= slot.kept then
      limits[l + 1], limits[l + 2] = key, slot.limit
      l = l + 2
      slot.kept = slot.limit
    end
  end
  setAll(P .. ':ku', used, n)
  setAll(P .. ':kl', limits, l)
  if #idle == 0 then return end
  local isWaitedFor, gone = call('EXISTS', unpack(waits)) > 0, {}
  for i, key in ipairs(idle) do
    if not isWaitedFor or call('EXISTS', waits[i]) == 0 then
      gone[#gone + 1] = key
      slots[key] = nil
    end
  end
  if #gone == 0 then return end
  call('HDEL', P .. ':ku', unpack(gone))
  call('HDEL', P .. ':kl', unpack(gone))
end

local function flushSlots()
  local keys = {}
  for key in pairs(touchedSlots) do
    keys[#keys + 1] = key
    if #keys == 1000 then
      writeSlots(keys)
      keys = {}
    end
  end
  touchedSlots = {}
  writeSlots(keys)
end

local function flushReady()
  for lane, ready in pairs(pushes) do
    if call('RPUSH', lane, unpack(ready)) == #ready then openLane(ready.queue, ready.priority) end
  end
  for queue, ranks in pairs(early) do
    local list = {}
    for id, rank in pairs(ranks) do
      list[#list + 1], list[#list + 2] = rank, id
      if #list == 2000 then
        call('ZADD', P .. ':e:' .. queue, unpack(list))
        list = {}
      end
    end
    if #list > 0 then call('ZADD', P .. ':e:' .. queue, unpack(list)) end
  end
  pushes, early = {}, {}
end

local function flush()
  local hots, mores, colds, h, m, c = {}, {}, {}, 0, 0, 0
  for id, row in pairs(rows) do
    if row then
      local raw = packHot(row)
      if raw ~= row.raw then
        hots[h + 1], hots[h + 2] = id, raw
        h = h + 2
        row.raw = raw
      end
      if row.isNewMore then
        mores[m + 1], mores[m + 2] = id, cmsgpack.pack(row.more)
        m = m + 2
        row.isNewMore = nil
      end
      if row.isNewCold then
        colds[c + 1], colds[c + 2] = id, headText(row) .. row.rest
        c = c + 2
        row.isNewCold = nil
      end
    end
  end
  rows = {}
  setAll(H, hots, h)
  setAll(M, mores, m)
  setAll(C, colds, c)
  flushSlots()
  flushReady()
  local states, s = {}, 0
  for key in pairs(touchedKeys) do
    if sharedKeys[key] then
      states[s + 1], states[s + 2] = key, cmsgpack.pack(sharedKeys[key])
      s = s + 2
    end
  end
  touchedKeys = {}
  setAll(P .. ':ks', states, s)
end

local function queueOf(row) return kindOf(row.kind).queue end
local function isFinal(row) return row.state >= COMPLETED end
local function isUntouched(row) return row.attempt == 0 and not row.hasBegun end
local function isWaiting(row) return isUntouched(row) and row.state ~= RUNNING and not isFinal(row) end
`
