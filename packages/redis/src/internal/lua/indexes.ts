/**
 * Records of a selection by the indexes that searches go by: sorted sets by chunk, so that the order is that of the log. What is
 * blocked has one for each reason, so several are read as one. What is in them of another state, job or queue is sorted out by
 * the heads, 200 at a time; where the job or queue has few chunks, only what is in these is looked at.
 *
 * Cost: two reads for each 200, some three commands for each that is not sorted out.
 */

/** Which of them are walked. */
export const index = String.raw`
-- What a record can be blocked for.
local blockedReasons = {
  'Dependencies', 'ConcurrencyKey', 'Unique', 'Waitpoint', 'Children', 'NoHandler', 'NewerPayload'
}

-- Those that have all records in some states; nil where one of these has none.
local function indexesOf(states)
  local keys = {}
  for _, state in ipairs(states) do
    if state == 'dead' then keys[#keys + 1] = ':b:d'
    elseif state == 'cancelled' then keys[#keys + 1] = ':b:x'
    elseif state ~= 'blocked' then return nil
    else for _, reason in ipairs(blockedReasons) do keys[#keys + 1] = ':b:' .. reason end
    end
  end
  return keys
end

-- Those of which each is walked alone.
local function choices()
  local all = {}
  local function add(keys) all[#all + 1] = keys end
  if where.parent then add({ ':ip:' .. where.parent }) end
  if where.flowId then add({ ':if:' .. where.flowId }) end
  if where.label then add({ ':il:' .. where.label }) end
  if where.errorTag then add({ ':ie:' .. where.errorTag }) end
  if where.blockedReason then add({ ':b:' .. where.blockedReason }) end
  if where.deadReason then add({ K.areReasonsKnown() and ':b:d:' .. where.deadReason or ':b:d' }) end
  local ofStates = where.states and indexesOf(where.states)
  if ofStates then add(ofStates) end
  return all
end

-- The narrowest that the selection has, of those that have all of it, without those that are empty; nil when it has none.
local function indexed()
  local best, fewest
  for _, keys in ipairs(choices()) do
    local some, many = {}, 0
    for _, key in ipairs(keys) do
      local size = call('ZCARD', P .. key)
      if size > 0 then some[#some + 1] = P .. key end
      many = many + size
    end
    if not fewest or many < fewest then best, fewest = some, many end
  end
  if best then best.size = fewest end
  return best
end
`

export const walkIndexes = String.raw`
-- Of 16 that are sorted out by their heads, one counts as looked at, as in the log. Answers whether to go on.
local function lookAll(some, chunks)
  if #some == 0 then return true end
  local few = sorted(some)
  passOver(#some - #few)
  for _, id in ipairs(few) do if not look(chunks[id], id) then return false end end
  return left > 0 or stop(chunks[some[#some]], some[#some])
end

-- Whether the selected job or queue has so few chunks that these lead to what there is of it.
local function isOfFewChunks(keys)
  local kinds, many = (where.tag or where.queue) and kindsWanted(), 0
  if not kinds then return false end
  for _, kind in ipairs(kinds) do many = many + call('ZCARD', P .. ':ok:' .. kind.number) end
  return many * 16 < keys.size
end

local function walkByChunks(keys)
  walkChunks(function(chunk)
    local some, chunks = {}, {}
    for _, key in ipairs(keys) do
      for _, id in ipairs(call('ZRANGE', key, chunk, chunk, 'BYSCORE')) do
        if isAfter(chunk, id) then
          some[#some + 1] = id
          chunks[id] = chunk
        end
      end
    end
    return lookAll(inOrder(some), chunks)
  end)
end

-- Goes through one of them, from where the cursor is: chunk and id of where it stands, and how to go on.
local function reader(key)
  local of = { isAtEnd = false }
  local at, offset, found, i = fromChunk or (isNewest and '+inf' or '-inf'), 0, {}, 1
  local function read()
    found = isNewest and call('ZRANGE', key, at, '-inf', 'BYSCORE', 'REV', 'LIMIT', offset, 200, 'WITHSCORES') or
      not isNewest and call('ZRANGE', key, at, '+inf', 'BYSCORE', 'LIMIT', offset, 200, 'WITHSCORES')
    i, offset = 1, offset + 200
  end
  function of.go()
    repeat
      i = i + 2
      if i > #found and #found == 400 then read() end
      if i > #found then of.isAtEnd = true return end
      of.id, of.chunk = found[i], tonumber(found[i + 1])
    until isAfter(of.chunk, of.id)
  end
  read()
  i = -1
  of.go()
  return of
end

local function isFirst(a, b)
  if a.chunk ~= b.chunk then return isNewest == (a.chunk > b.chunk) end
  return isNewest == (a.id > b.id)
end

local function walkIndexed(keys)
  if isOfFewChunks(keys) then return walkByChunks(keys) end
  local readers = {}
  for i, key in ipairs(keys) do readers[i] = reader(key) end
  while true do
    local some, chunks = {}, {}
    while #some < 200 do
      local first
      for _, each in ipairs(readers) do
        if not each.isAtEnd and (not first or isFirst(each, first)) then first = each end
      end
      if not first then break end
      some[#some + 1], chunks[first.id] = first.id, first.chunk
      first.go()
    end
    if not lookAll(some, chunks) or #some < 200 then return end
  end
end
`
