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

-- Records of a chunk are of a kind that they were not enqueued with.
local function kindIn(chunk, text)
  local number = intern(text)
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

-- Keys, and what records have that have one. A table, as a script has no more than 200 locals.
local K = {}

-- Whether any record waits for a key: where none does, no key is asked for one by one.
function K.areWaiting() return call('EXISTS', P .. ':b:ConcurrencyKey') == 1 end

-- Whether a record has what it had of its own: a hand or an eviction may have taken it.
function K.isWhole(id)
  if rows[id] then return true end
  local hot = call('HGET', H, id)
  return not hot or not hasFlag(select(2, struct.unpack(LAYOUT, hot)), MORE) or call('HEXISTS', M, id) == 1
end

-- Since when a shelf has what has finished: it is oldest first, so of what has finished before nothing is on it.
function K.shelvedFrom(shelf)
  local first = call('LINDEX', shelf, 0)
  return first and tonumber(string.sub(first, 1, 13)) or math.huge
end

-- Why a record can be dead.
K.deadReasons = { 'Failed', 'Defect', 'TimedOut', 'Crashed', 'Expired', 'InvalidPayload', 'DependencyFailed' }

-- Whether all that is dead is found by its reason: not where a release that has no such indexes works on the store, too.
function K.areReasonsKnown()
  local many = 0
  for _, reason in ipairs(K.deadReasons) do many = many + call('ZCARD', P .. ':b:d:' .. reason) end
  return many == call('ZCARD', P .. ':b:d')
end

-- Numbers as texts, and back: a number that is an argument is printed with 17 digits.
K.texts = setmetatable({}, { __index = function(known, number)
  known[number] = string.format('%.0f', number)
  return known[number]
end })
K.numbers = setmetatable({}, { __index = function(known, text)
  known[text] = tonumber(text or '0')
  return known[text]
end })

-- What a record has that has a key and nothing else, up to the key: as cmsgpack would write it, with the key at the end, so that it
-- is cut out: 0.2 us, where to unpack it takes 1.8. Nil of what does not fit.
function K.head(due, limit)
  local fits = type(due) == 'number' and due % 1 == 0 and due >= 0 and due < 2 ^ 53 and
    type(limit) == 'number' and limit % 1 == 0 and limit >= 0 and limit < 2 ^ 32
  if not fits then return nil end
  return '\131\163due\207' .. struct.pack('>I8', due) .. '\165limit\206' .. struct.pack('>I4', limit) .. '\163key\218'
end

function K.fits(key) return #key < 65536 end

function K.packed(head, key) return head .. struct.pack('>I2', #key) .. key end

-- What a record has beside its head.
function K.pack(its)
  if not (its.key and its.due and its.limit and K.fits(its.key)) then return cmsgpack.pack(its) end
  local many = 0
  for _ in pairs(its) do many = many + 1 end
  local head = many == 3 and K.head(its.due, its.limit)
  return head and K.packed(head, its.key) or cmsgpack.pack(its)
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

-- Keys of one job that nobody uses or waits for, at most a thousand.
function K.forget(keys)
  if #keys == 0 then return end
  call('HDEL', P .. ':ku', unpack(keys))
  call('HDEL', P .. ':kl', unpack(keys))
end

-- Keys of one job, at most a thousand: those that nobody uses or waits for are forgotten.
local function writeSlots(keys)
  local used, limits, n, l, gone, isAnyWaitedFor = {}, {}, 0, 0, {}, nil
  for _, key in ipairs(keys) do
    local slot = slots[key]
    local isIdle = slot.used <= 0
    if isIdle and isAnyWaitedFor == nil then isAnyWaitedFor = K.areWaiting() end
    if isIdle and not (isAnyWaitedFor and call('EXISTS', P .. ':kw:' .. key) == 1) then
      gone[#gone + 1] = key
      slots[key] = nil
    else
      used[n + 1], used[n + 2] = key, K.texts[slot.used]
      n = n + 2
      if slot.limit ~= slot.kept then
        limits[l + 1], limits[l + 2] = key, K.texts[slot.limit]
        l = l + 2
        slot.kept = slot.limit
      end
    end
  end
  setAll(P .. ':ku', used, n)
  setAll(P .. ':kl', limits, l)
  K.forget(gone)
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

-- Slots of keys of one job for which nobody waits are free again, so many of each: the limits need not be known.
function K.takeOff(keys, many)
  local texts, numbers = K.texts, K.numbers
  for first = 1, #keys, 1000 do
    local last = math.min(first + 999, #keys)
    local used, values, n, gone = call('HMGET', P .. ':ku', unpack(keys, first, last)), {}, 0, {}
    for i = first, last do
      local key = keys[i]
      local left = numbers[used[i - first + 1]] - many[key]
      if left > 0 then
        values[n + 1], values[n + 2] = key, texts[left]
        n = n + 2
      else
        gone[#gone + 1] = key
      end
    end
    setAll(P .. ':ku', values, n)
    K.forget(gone)
  end
end

-- What is to be read again is written first.
function K.reread()
  flushSlots()
  slots = {}
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
        mores[m + 1], mores[m + 2] = id, K.pack(row.more)
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
