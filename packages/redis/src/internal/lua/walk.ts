import { brief } from "./context.ts"

/**
 * Records of a selection in the order of the log, chunk by chunk. Where an instant, a job or a queue is selected the chunks of
 * it are found by their indexes; chunks in which nothing can run any more are passed over by their figures when only what can
 * is selected; and of the records in a chunk those of another state, job or queue are sorted out some hundred at a time.
 *
 * Cost: two reads for all records of a chunk, some three commands for each that is not sorted out. Of 16 that are, one counts
 * as looked at.
 */
export const walk = String.raw`
-- How many chunks are chosen at a time, and of how many records the states are read at once.
local CHUNKS, RECORDS = 32, 500
-- Of so few records all are gathered from where they wait or lie.
local gatherable = 2000

local wants
for _, name in ipairs(where.states or {}) do
  wants = wants or {}
  wants[codes[name]] = true
end
local isLive = wants and not (wants[COMPLETED] or wants[CANCELLED] or wants[DEAD])

-- Whether records of a kind are of the selected job and queue.
local isOfKind = setmetatable({}, { __index = function(known, number)
  local kind = kindOf(number)
  known[number] = (not where.tag or kind.tag == where.tag) and (not where.queue or kind.queue == where.queue)
  return known[number]
end })

-- Kinds of the selected job and queue; nil when there are too many kinds to look through.
local function kindsWanted()
  local many, found = tonumber(call('HGET', P, 'kn') or '0'), {}
  if many > gatherable then return nil end
  for number = 1, many do
    if isOfKind[number] then found[#found + 1] = kindOf(number) end
  end
  return found
end

-- How many chunks began before an instant.
local function begunBefore(at)
  local all, low, high = P .. ':ok:0', 0, call('ZCARD', P .. ':ok:0')
  while low < high do
    local middle = math.floor((low + high) / 2)
    local chunk = call('ZRANGE', all, middle, middle)[1]
    if tonumber(call('HGET', P .. ':oa', chunk) or '0') < at then low = middle + 1 else high = middle end
  end
  return low
end

-- Between which chunks all that is selected lies: by instant, and by where the page begins.
local function bounds()
  local first, last = '-inf', '+inf'
  if where.enqueuedFrom then
    local before = begunBefore(where.enqueuedFrom)
    first = call('ZRANGE', P .. ':ok:0', math.max(0, before - 1), math.max(0, before - 1))[1] or first
  end
  if where.enqueuedBefore then
    local after = begunBefore(where.enqueuedBefore)
    local chunk = call('ZRANGE', P .. ':ok:0', after, after)[1]
    last = chunk and '(' .. chunk or last
  end
  if fromChunk and isNewest then last = fromChunk
  elseif fromChunk and (first == '-inf' or tonumber(first) < fromChunk) then first = fromChunk end
  return first, last
end

-- The next chunks that have records of some kinds, in order; and which of these each has.
local function nextChunks(kinds, first, last)
  local chunks, kindsIn = {}, {}
  for _, kind in ipairs(kinds) do
    local key = P .. ':ok:' .. kind.number
    local found = isNewest and call('ZRANGE', key, last, first, 'BYSCORE', 'REV', 'LIMIT', 0, CHUNKS) or
      not isNewest and call('ZRANGE', key, first, last, 'BYSCORE', 'LIMIT', 0, CHUNKS)
    for _, text in ipairs(found) do
      local chunk = tonumber(text)
      if not kindsIn[chunk] then chunks[#chunks + 1], kindsIn[chunk] = chunk, {} end
      table.insert(kindsIn[chunk], kind.number)
    end
  end
  table.sort(chunks, function(a, b) if isNewest then return a > b end return a < b end)
  for i = CHUNKS + 1, #chunks do chunks[i] = nil end
  return chunks, kindsIn
end

local isOfTime = where.enqueuedFrom or where.enqueuedBefore

-- Whether a record as it was enqueued may be selected; its head says its kind, where it has one.
local function isIn(cold, hasHead)
  local at = isOfTime and tonumber(string.sub(cold, 11, 21), 16)
  if where.enqueuedFrom and at < where.enqueuedFrom or where.enqueuedBefore and at >= where.enqueuedBefore then return false end
  return hasHead or isOfKind[tonumber(string.sub(cold, 1, 4), 16)]
end

-- What is scheduled alone has an index by queue, of which less is read.
local isScheduled = wants and wants[SCHEDULED] and #where.states == 1 and where.queue and not isOfTime

local function scheduled(ids)
  local few = {}
  for i, at in ipairs(call('ZMSCORE', P .. ':d:' .. where.queue, unpack(ids))) do if at then few[#few + 1] = ids[i] end end
  return few
end

-- Which of some records may be selected, by their heads, in the same order. Whether all are of the selected job and queue may be
-- known. Their chunks are noted in the table that is given.
local function sorted(ids, areOfKind, chunks)
  areOfKind = areOfKind or not (where.tag or where.queue)
  if not wants and areOfKind and not isOfTime then return ids end
  if isScheduled and not chunks then return scheduled(ids) end
  local hots, few, unsure, names = call('HMGET', H, unpack(ids)), {}, {}, {}
  for i, id in ipairs(ids) do
    local hot = hots[i]
    if hot then
      local state, kind, chunk = struct.unpack('${brief}', hot)
      few[i] = (not wants or wants[state]) and isOfKind[kind]
      if few[i] and chunks then chunks[id] = chunk end
    else
      few[i] = not wants or wants[READY]
    end
    if few[i] and (isOfTime or not hot and not (areOfKind and not chunks)) then
      unsure[#unsure + 1] = i
      names[#names + 1] = id
    end
  end
  if #names > 0 then
    for n, cold in ipairs(call('HMGET', C, unpack(names))) do
      few[unsure[n]] = cold and isIn(cold, hots[unsure[n]])
      if cold and chunks then chunks[names[n]] = tonumber(string.sub(cold, 5, 10), 16) end
    end
  end
  local kept = {}
  for i, id in ipairs(ids) do if few[i] then kept[#kept + 1] = id end end
  return kept
end

-- In the order of the page, each once. Most often they are in the order of the log, which is looked for first: to sort takes as
-- long as to read their states.
local function inOrder(ids)
  local isInOrder = true
  for i = 2, #ids do if ids[i - 1] >= ids[i] then isInOrder = false break end end
  if isInOrder and not isNewest then return ids end
  if not isInOrder then table.sort(ids) end
  local list = {}
  for i = 1, #ids do
    local id = ids[isNewest and #ids + 1 - i or i]
    if id ~= list[#list] then list[#list + 1] = id end
  end
  return list
end

`

/** By chunks: all records, or those that `kinds.ts` tells. */
export const walkLog = String.raw`
-- Looks at the records of one chunk. Answers whether to go on.
local function walkChunk(chunk, kinds)
  local length = call('STRLEN', P .. ':o:' .. chunk)
  if isLive and tonumber(call('HGET', P .. ':oe', chunk) or '0') * 22 >= length then return true end
  local ids, areOfKind = idsIn(chunk, length, kinds)
  ids = inOrder(ids)
  if chunk == fromChunk then
    local rest = {}
    for _, id in ipairs(ids) do if isAfter(chunk, id) then rest[#rest + 1] = id end end
    ids = rest
  end
  for from = 1, #ids, RECORDS do
    local some = { unpack(ids, from, math.min(from + RECORDS - 1, #ids)) }
    local few = sorted(some, areOfKind)
    passOver(#some - #few)
    for _, id in ipairs(few) do if not look(chunk, id) then return false end end
    if left <= 0 then return stop(chunk, some[#some]) end
  end
  return true
end

-- By a function that answers whether to go on.
local function walkChunks(walk)
  local kinds, first, last = (where.tag or where.queue) and kindsWanted() or { { number = 0 } }, bounds()
  repeat
    local chunks, kindsIn = nextChunks(kinds, first, last)
    for _, chunk in ipairs(chunks) do
      left = left - 1 / 16
      if not walk(chunk, kindsIn[chunk]) then return end
      if left <= 0 then return stop(chunk, isNewest and '' or '~') end
    end
    if isNewest then last = '(' .. (chunks[#chunks] or 0) else first = '(' .. (chunks[#chunks] or 0) end
  until #chunks < CHUNKS
end
`
