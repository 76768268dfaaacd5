import { brief } from "./context.ts"

/**
 * Which records of a chunk are of which kind. Of what a record is enqueued as, job and queue never change; so it is found out once,
 * by the first search that looks into the chunk after the enqueue, and kept for ten minutes. An enqueue has nothing to do with it.
 *
 * Cost: a read of the heads of all its records the first time, and then one read for a chunk. It takes some 27 bytes a record.
 */
export const chunkKinds = String.raw`
local KEPT = 600

local function idsOf(text)
  local ids = {}
  for id in string.gmatch(text, '......................') do ids[#ids + 1] = id end
  return ids
end

-- The kind of each of some records, false of those that are gone.
local function kindsOf(ids)
  local hots, colds, unknown, kinds = call('HMGET', H, unpack(ids)), {}, {}, {}
  for i, id in ipairs(ids) do if not hots[i] then unknown[#unknown + 1] = id end end
  if #unknown > 0 then
    for i, cold in ipairs(call('HMGET', C, unpack(unknown))) do colds[unknown[i]] = cold end
  end
  for i, id in ipairs(ids) do
    local hot, cold = hots[i], colds[id]
    kinds[i] = hot and select(2, struct.unpack('${brief}', hot)) or cold and tonumber(string.sub(cold, 1, 4), 16) or false
  end
  return kinds
end

-- Notes those whose ids come behind that much of a chunk's text.
local function noteKinds(key, text, before)
  local ids, byKind, fields, values = idsOf(string.sub(text, before + 1)), {}, {}, { 'n', #text }
  for first = 1, #ids, RECORDS do
    local some = { unpack(ids, first, math.min(first + RECORDS - 1, #ids)) }
    for i, kind in ipairs(kindsOf(some)) do
      if kind and not byKind[kind] then byKind[kind], fields[#fields + 1] = {}, kind end
      if kind then table.insert(byKind[kind], some[i]) end
    end
  end
  local known = before > 0 and #fields > 0 and call('HMGET', key, unpack(fields)) or {}
  for i, kind in ipairs(fields) do
    values[#values + 1], values[#values + 2] = kind, (known[i] or '') .. table.concat(byKind[kind])
  end
  setAll(key, values, #values)
  if before == 0 then call('EXPIRE', key, KEPT) end
end

-- The ids of a chunk that may be of the selected job and queue, and whether all of them are. Its kinds of these are given, or 0,
-- which all records are of.
local function idsIn(chunk, length, kinds)
  local log, key = P .. ':o:' .. chunk, P .. ':oq:' .. chunk
  if kinds[1] == 0 or #kinds > RECORDS then return idsOf(call('GET', log) or ''), false end
  local read = call('HMGET', key, 'n', unpack(kinds))
  local known = tonumber(read[1] or '0')
  if known > length then
    -- The log has been lost.
    call('DEL', key)
    known = 0
  end
  if known < length then
    noteKinds(key, call('GET', log), known)
    read = call('HMGET', key, 'n', unpack(kinds))
  end
  local texts = {}
  for i = 2, #read do texts[#texts + 1] = read[i] or nil end
  return idsOf(table.concat(texts)), true
end
`
