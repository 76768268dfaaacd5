/** `get`, `query`, `results`, `stats`: reads. Cost: three to six commands a record that is looked at. */

import { gather } from "./gather.ts"
import { index, walkIndexes } from "./indexes.ts"
import { chunkKinds } from "./kinds.ts"
import { walk, walkLog } from "./walk.ts"

/** Whether a record is among the selected. */
export const matches = String.raw`
local codes = { blocked = BLOCKED, scheduled = SCHEDULED, ready = READY, running = RUNNING, completed = COMPLETED,
  cancelled = CANCELLED, dead = DEAD }

local function includes(list, item)
  for _, each in ipairs(list or {}) do if each == item then return true end end
  return false
end

function L.matches(row, where)
  local kind, its = kindOf(row.kind), row.more or {}
  if where.tag and kind.tag ~= where.tag then return false end
  if where.queue and kind.queue ~= where.queue then return false end
  if where.states then
    local isWanted = false
    for _, state in ipairs(where.states) do if codes[state] == row.state then isWanted = true end end
    if not isWanted then return false end
  end
  if where.deadReason and (row.state ~= DEAD or its.deadReason ~= where.deadReason) then return false end
  if where.blockedReason and (row.state ~= BLOCKED or its.blocked ~= where.blockedReason) then return false end
  if where.errorTag and its.errorTag ~= where.errorTag then return false end
  if where.label and not includes(its.labels, where.label) then return false end
  if where.flowId and its.flow ~= where.flowId then return false end
  if where.parent and its.parent ~= where.parent then return false end
  if where.concurrencyKey and its.key ~= where.concurrencyKey then return false end
  if where.worker and (row.state ~= RUNNING or row.tail ~= where.worker) then return false end
  if where.enqueuedFrom and headOf(row).at < where.enqueuedFrom then return false end
  if where.enqueuedBefore and headOf(row).at >= where.enqueuedBefore then return false end
  return true
end
`

const view = String.raw`
local used = {}
local function number(n) return n and string.format('%.0f', n) or '' end

local function view(row)
  headOf(row)
  local its = row.more or {}
  local attempts = its.attempts
  if row.ran then attempts = { ranText(row) } end
  local function list(texts) return texts and #texts > 0 and '[' .. table.concat(texts, ',') .. ']' or '' end
  local expiresAt = isUntouched(row) and L.expiresAt(row)
  used[row.kind] = true
  return table.concat({
    row.id, row.kind, row.state, kindOf(row.kind).version, row.priority, row.attempt, row.fence, row.crashes, number(row.head.at),
    number(row.at), number(expiresAt or nil), row.state == RUNNING and row.tail or '', its.blocked or '', its.on or '',
    its.deadReason or '', its.cancel or '', its.cancel and 1 or '',
    row.hasProgress and call('HGET', P .. ':g', row.id) or '', row.hasProgress and 1 or '',
    row.hasResult and call('HGET', P .. ':r', row.id) or '', row.hasResult and 1 or '',
    list(its.failures), list(attempts), row.hasLogs and list(call('LRANGE', P .. ':lg:' .. row.id, 0, -1)) or '',
    its.wakes and 1 or '', row.rest
  }, '\31')
end

local function texts()
  local list = {}
  for kind in pairs(used) do list[#list + 1] = kind .. '\29' .. kindOf(kind).text end
  return table.concat(list, '\30')
end
`

/** ARGV: ids. Of one alone its checkpoints are answered too, as long as they may be asked for again. */
export const get = view + String.raw`
local list, checkpoints = {}, ''
for _, id in ipairs(ARGV) do
  local row = load(id)
  if row then
    list[#list + 1] = view(row)
    if #ARGV == 1 and row.hasCheckpoints and row.state ~= COMPLETED then
      local all, named = call('HGETALL', P .. ':cp:' .. id), {}
      for i = 1, #all, 2 do named[all[i]] = all[i + 1] end
      checkpoints = cjson.encode(named)
    end
  end
end
return { '', texts(), table.concat(list, '\30'), checkpoints }
`

/** ARGV: JSON of the selection, order, how many, how many to look at, cursor (chunk and id). */
export const page = view + String.raw`
local where, isNewest, limit, left = cjson.decode(ARGV[1]), ARGV[2] == 'newest', tonumber(ARGV[3]), tonumber(ARGV[4])
local fromChunk, fromId = string.match(ARGV[5], '^(%d+):(.*)$')
fromChunk = tonumber(fromChunk)
local list, chunksOf, cursor = {}, {}, ''
-- How many records were seen, be it only to sort them out.
local passed = 0

local function isAfter(chunk, id)
  if not fromChunk then return true end
  if chunk ~= fromChunk then return isNewest == (chunk < fromChunk) end
  return isNewest == (id < fromId) and id ~= fromId
end

-- The next page begins after this one.
local function stop(chunk, id)
  cursor = chunk .. ':' .. id
  return false
end

-- So many were sorted out by their heads: of 16, one counts as looked at.
local function passOver(many)
  left = left - many / 16
  passed = passed + many
end

-- Looks at one record. Answers whether to go on.
local function look(chunk, id)
  if not isAfter(chunk, id) then return true end
  local row = load(id)
  if row and row.chunk == chunk and L.matches(row, where) then
    list[#list + 1] = view(row)
    chunksOf[#list] = chunk
  end
  rows = {}
  left = left - 1
  passed = passed + 1
  return #list < limit and left > 0 or stop(chunk, id)
end

${index}
${walk}
${chunkKinds}
${walkLog}
${gather}
${walkIndexes}
local keys = indexed()
local ids = not keys and gathered()
if keys then walkIndexed(keys) elseif ids then walkGathered(ids) else walkChunks(walkChunk) end
return { cursor, texts(), table.concat(list, '\30'), math.ceil(left), table.concat(chunksOf, ','), passed }
`

/** ARGV: ids. Answers state, progress, result, reason and last failure of each that is there. */
export const results = String.raw`
local answers = {}
for i, id in ipairs(ARGV) do
  local row = load(id)
  if row then
    local its = row.more or {}
    answers[i] = table.concat({
      row.state, row.hasProgress and 1 or '', row.hasProgress and call('HGET', P .. ':g', id) or '',
      row.hasResult and 1 or '', row.hasResult and call('HGET', P .. ':r', id) or '',
      row.state == CANCELLED and its.cancel or its.deadReason or '', its.failures and its.failures[#its.failures] or ''
    }, '\31')
  elseif call('HEXISTS', P .. ':tx', id) == 1 then
    -- On its way to its partition.
    answers[i] = BLOCKED .. string.rep('\31', 6)
  else
    -- What removed it, where that is known.
    answers[i] = string.sub(call('HGET', P .. ':gone', id) or '', -1)
  end
end
return table.concat(answers, '\30')
`

export const stats = String.raw`
-- The oldest of what waits at the front of each lane, and of what came back with each priority.
local function oldestOf(name, lanes)
  local oldest
  local function see(row)
    if row and row.state == READY and (not oldest or row.ready < oldest) then oldest = row.ready end
  end
  for priority in string.gmatch(lanes or '', '[^,]+') do
    for _, entry in ipairs(call('LRANGE', P .. ':l:' .. name .. ':' .. priority, 0, 99)) do
      local row = load(string.sub(entry, 1, 22))
      if row and row.state == READY and not row.early and row.place == (tonumber(string.sub(entry, 23)) or headOf(row).at) then
        see(row)
        break
      end
    end
  end
  for _, kind in ipairs({ ':e:', ':s:' }) do
    local first = call('ZRANGE', P .. kind .. name, 0, 0, 'WITHSCORES')
    while first[1] do
      see(load(first[1]))
      local nextPriority = (math.floor(tonumber(first[2]) / 17592186044416) + 1) * 17592186044416
      first = call('ZRANGEBYSCORE', P .. kind .. name, string.format('%.0f', nextPriority), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    end
  end
  return oldest
end

local function holdsOf(worker)
  local sum = 0
  for _, many in ipairs(call('HVALS', P .. ':wn:' .. worker)) do sum = sum + many end
  return sum
end

local queues, workers = {}, {}
for _, name in ipairs(call('SMEMBERS', P .. ':qs')) do
  local read = call('HMGET', P .. ':q:' .. name, 'r', 'u', 's', 'b', 'c', 'x', 'd', 'k', 'p', 'l')
  local oldest = oldestOf(name, read[10])
  local fields = { name }
  for i = 1, 8 do fields[i + 1] = read[i] or '0' end
  fields[10] = read[9] and 1 or ''
  fields[11] = oldest and string.format('%.0f', now - oldest) or ''
  queues[#queues + 1] = table.concat(fields, '\31')
end
local all = call('ZRANGE', P .. ':ws', 0, -1, 'WITHSCORES')
for i = 1, #all, 2 do
  workers[#workers + 1] = table.concat({
    all[i], holdsOf(all[i]), string.format('%.0f', tonumber(all[i + 1]) - now),
    call('HGET', P .. ':wi:' .. all[i], 'q') or '[]', call('HGET', P .. ':wi:' .. all[i], 'ab') or ''
  }, '\31')
end
return { string.format('%.0f', now), table.concat(queues, '\30'), table.concat(workers, '\30') }
`
