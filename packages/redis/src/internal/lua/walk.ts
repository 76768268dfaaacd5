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

local wants
for _, name in ipairs(where.states or {}) do
  wants = wants or {}
  wants[codes[name]] = true
end
local isLive = wants and not (wants[COMPLETED] or wants[CANCELLED] or wants[DEAD])

local function isOfKind(number)
  local kind = kindOf(number)
  return (not where.tag or kind.tag == where.tag) and (not where.queue or kind.queue == where.queue)
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

local function indexesOfKinds()
  local kinds = (where.tag or where.queue) and kindsWanted()
  local keys = {}
  for _, kind in ipairs(kinds or { { number = 0 } }) do keys[#keys + 1] = P .. ':ok:' .. kind.number end
  return keys
end

-- The next chunks of some indexes, in order.
local function nextChunks(keys, first, last)
  local chunks, seen = {}, {}
  for _, key in ipairs(keys) do
    local found = isNewest and call('ZRANGE', key, last, first, 'BYSCORE', 'REV', 'LIMIT', 0, CHUNKS) or
      not isNewest and call('ZRANGE', key, first, last, 'BYSCORE', 'LIMIT', 0, CHUNKS)
    for _, chunk in ipairs(found) do
      if not seen[chunk] then chunks[#chunks + 1] = tonumber(chunk) end
      seen[chunk] = true
    end
  end
  table.sort(chunks, function(a, b) if isNewest then return a > b end return a < b end)
  for i = CHUNKS + 1, #chunks do chunks[i] = nil end
  return chunks
end

local isOfTime = where.enqueuedFrom or where.enqueuedBefore

-- Whether a record as it was enqueued may be selected; its head says its kind, where it has one.
local function isIn(cold, hasHead)
  local at = isOfTime and tonumber(string.sub(cold, 11, 21), 16)
  if where.enqueuedFrom and at < where.enqueuedFrom or where.enqueuedBefore and at >= where.enqueuedBefore then return false end
  return hasHead or isOfKind(tonumber(string.sub(cold, 1, 4), 16))
end

-- Which of some records may be selected, by their heads.
local function sorted(ids)
  if not wants and not where.tag and not where.queue and not isOfTime then return ids end
  local hots, few, unsure, names = call('HMGET', H, unpack(ids)), {}, {}, {}
  for i, id in ipairs(ids) do
    local hot = hots[i]
    if hot then
      local state, _, _, _, _, _, _, kind = struct.unpack(LAYOUT, hot)
      few[i] = (not wants or wants[state]) and isOfKind(kind)
    else
      few[i] = not wants or wants[READY]
    end
    if few[i] and (isOfTime or not hot) then
      unsure[#unsure + 1] = i
      names[#names + 1] = id
    end
  end
  if #names > 0 then
    for n, cold in ipairs(call('HMGET', C, unpack(names))) do few[unsure[n]] = cold and isIn(cold, hots[unsure[n]]) end
  end
  local kept = {}
  for i, id in ipairs(ids) do if few[i] then kept[#kept + 1] = id end end
  return kept
end

-- Looks at the records of one chunk. Answers whether to go on.
local function walkChunk(chunk)
  local text, ids = call('GET', P .. ':o:' .. chunk) or '', {}
  if isLive and tonumber(call('HGET', P .. ':oe', chunk) or '0') * 22 >= #text then return true end
  for id in string.gmatch(text, '......................') do
    if isAfter(chunk, id) then ids[#ids + 1] = id end
  end
  table.sort(ids, function(a, b) if isNewest then return a > b end return a < b end)
  for from = 1, #ids, RECORDS do
    local some = {}
    for i = from, math.min(from + RECORDS - 1, #ids) do
      if ids[i] ~= ids[i - 1] then some[#some + 1] = ids[i] end
    end
    local few = sorted(some)
    left = left - (#some - #few) / 16
    passed = passed + #some - #few
    for _, id in ipairs(few) do if not look(chunk, id) then return false end end
    if left <= 0 then
      cursor = chunk .. ':' .. some[#some]
      return false
    end
  end
  return true
end

-- By a function that answers whether to go on.
local function walkChunks(walk)
  local keys, first, last = indexesOfKinds(), bounds()
  repeat
    local chunks = nextChunks(keys, first, last)
    for _, chunk in ipairs(chunks) do
      left = left - 1 / 16
      if not walk(chunk) then return end
    end
    if isNewest then last = '(' .. (chunks[#chunks] or 0) else first = '(' .. (chunks[#chunks] or 0) end
  until #chunks < CHUNKS
end
`
