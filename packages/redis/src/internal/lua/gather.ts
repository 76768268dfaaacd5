/**
 * Records of a selection by the indexes that work goes by: the lanes of queues, what is scheduled, what is blocked by its reason,
 * what workers hold, and the shelves of jobs. They are there anyway, so a search by job and state costs no enqueue anything.
 *
 * Cost: a read of the heads of what is in them, 500 at a time, at most 2,000; some three commands for each of the page. Where there
 * are more the log is walked: there they are not rare.
 */
export const gather = String.raw`

-- All ids in the selected states, some of them twice, some of others; nil when there may be too many.
local function gathered()
  if not where.states then return nil end
  local wants = {}
  for _, name in ipairs(where.states) do
    -- Of a job alone it is known what has ended.
    if codes[name] >= COMPLETED and not where.tag then return nil end
    wants[codes[name]] = true
  end
  local kinds = kindsWanted()
  if not kinds then return nil end
  local ids, left, seen = {}, gatherable, {}

  local function addAll(list, from)
    left = left - #list
    for _, text in ipairs(list) do ids[#ids + 1] = string.sub(text, from, from + 21) end
  end
  local function addPacked(text, from)
    left = left - math.floor((#text + 1 - from) / 22)
    if left < 0 then return end
    for at = from, #text - 21, 22 do ids[#ids + 1] = string.sub(text, at, at + 21) end
  end
  local function once(key)
    if seen[key] then return false end
    seen[key] = true
    return true
  end

  local function addReady(queue)
    for priority in string.gmatch(call('HGET', P .. ':q:' .. queue, 'l') or '', '[^,]+') do
      local lane = P .. ':l:' .. queue .. ':' .. priority
      if call('LLEN', lane) > left then return false end
      addAll(call('LRANGE', lane, 0, -1), 1)
    end
    for _, place in ipairs({ ':e:', ':s:' }) do
      if call('ZCARD', P .. place .. queue) > left then return false end
      addAll(call('ZRANGE', P .. place .. queue, 0, -1), 1)
    end
    return true
  end

  local function addQueue(queue)
    if wants[READY] and not addReady(queue) then return false end
    if not wants[SCHEDULED] then return true end
    if call('ZCARD', P .. ':d:' .. queue) > left then return false end
    addAll(call('ZRANGE', P .. ':d:' .. queue, 0, -1), 1)
    return true
  end

  -- An entry has as many records as one exchange has ended: some are read at a time, and no more than there is room for when they
  -- are like those before.
  local function addShelf(name)
    local first, many, step = 0, call('LLEN', name), 1
    if many > left then return false end
    while first < many do
      local room = left
      for _, entry in ipairs(call('LRANGE', name, first, first + step - 1)) do addPacked(entry, 14) end
      if left < 0 then return false end
      first = first + step
      step = math.max(1, math.min(50, math.floor(left * step / math.max(1, room - left))))
    end
    return true
  end

  local function addShelves(kind)
    for state = COMPLETED, DEAD do
      local name = kind.shelves[state].name
      if wants[state] and once(name) and not addShelf(name) then return false end
    end
    return true
  end

  for _, reason in ipairs(wants[BLOCKED] and blockedReasons or {}) do
    local key = P .. ':b:' .. reason
    if call('ZCARD', key) > left then return nil end
    addAll(call('ZRANGE', key, 0, -1), 1)
  end
  for _, kind in ipairs(kinds) do
    if once('queue ' .. kind.queue) and not addQueue(kind.queue) then return nil end
    if not addShelves(kind) then return nil end
  end
  if wants[RUNNING] then
    for _, worker in ipairs(where.worker and { where.worker } or call('ZRANGE', P .. ':ws', 0, -1)) do
      for _, text in ipairs(call('HVALS', P .. ':wl:' .. worker)) do addPacked(text, 1) end
      if left < 0 then return nil end
    end
  end
  return ids
end

-- Looks at them in the order of the log, from where the cursor is: a page is found by their heads.
local function walkGathered(ids)
  local byChunk, order, seen = {}, {}, {}
  passed = passed + #ids
  for from = 1, #ids, RECORDS do
    local chunks = {}
    for _, id in ipairs(sorted({ unpack(ids, from, math.min(from + RECORDS - 1, #ids)) }, false, chunks)) do
      local chunk = chunks[id]
      if not seen[id] and isAfter(chunk, id) then
        local some = byChunk[chunk]
        if not some then some = {} byChunk[chunk] = some order[#order + 1] = chunk end
        some[#some + 1] = id
      end
      seen[id] = true
    end
  end
  table.sort(order)
  for i = 1, #order do
    local chunk = order[isNewest and #order + 1 - i or i]
    for _, id in ipairs(inOrder(byChunk[chunk])) do if not look(chunk, id) then return end end
  end
end
`
