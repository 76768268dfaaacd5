/**
 * What every script begins with: the names of the keys, the clock, and what it leaves to be written once at its end.
 *
 * Keys of a namespace `{p}` (all in one slot of a cluster):
 *
 * | key | type | holds |
 * |---|---|---|
 * | `{p}` | hash | figures of the namespace: `oc` the open chunk of the log, `mt` when to maintain, `lu` until when events are heard, `en` the number of their last message, `pk` parked records; `ka` when the first shared key opens; `k<kind>` and `t<number>` kinds (job, queue, retention, priority, version) by text and by number; `z<queue>` somebody sleeps |
 * | `:c` | hash | id to the record as it was enqueued: kind, chunk, instant, spec, payload. Read at a claim, never by a settlement |
 * | `:h` | hash | id to state, fence, lease: the head of the record in 49 bytes and its worker. Absent: as enqueued |
 * | `:m` | hash | id to what only some records have, packed |
 * | `:r`, `:g` | hash | id to result, to progress |
 * | `:o:<chunk>`, `:og` | string, hash | ids in the order of enqueue, some 1,024 a chunk; how many of each are gone: one that is full is written anew when half of it is |
 * | `:oq:<chunk>` | hash | ids of a chunk by kind, where a search has looked within ten minutes; `n` how much of the chunk they are of |
 * | `:oa`, `:oe` | hash | of each chunk when it was begun, and how many of its records have ended or are gone |
 * | `:ok:<kind>` | sorted set | chunks that have records of a kind; of kind 0 all of them. `k<kind>` has the last one beside the number |
 * | `:q:<queue>` | hash | counts by state, lanes, `p` paused; `m` limited, `lf` when its bucket is full, `lc` closed until, `t` the turn that was claimed last |
 * | `:l:<queue>:<priority>` | list | ready records in turn: id, and place unless that is the instant of its enqueue. Entries of records that left are passed over |
 * | `:e:<queue>`, `:s:<queue>` | sorted set | ready records that came back to their place; those that crashed a worker |
 * | `:d:<queue>` | sorted set | scheduled records by due instant |
 * | `:ws`, `:wi:<worker>` | sorted set, hash | leases, registrations |
 * | `:wl:<worker>`, `:wn:<worker>` | hash, hash | its batches of claims, and how many of each still run: no command for each record |
 * | `:f:<shelf>`, `:fs`, `:sw` | list, hash, sorted set | finished records by job, outcome and retention; sizes; when each is swept |
 * | `:sc`, `:sn`, `:sa` | hash, sorted set, sorted set | schedules; their names; when each is to be seen to |
 * | `:u`, `:i` | hash | unique keys, idempotency keys |
 * | `:dp:<id>`, `:dw:<id>` | hash, list | whom a record waits for or has waited for, by number; which edges it is waited for by |
 * | `:ag` | list | what is left for the next exchanges: ends to tell, siblings to cancel, edges to open again; `ag` in `{p}` says whether there is any |
 * | `:ku`, `:kl`, `:kw:<key>` | hash, hash, sorted set | concurrency keys: slots used, limits, who waits |
 * | `:li`, `:ks` | hash | limits by name; how shared keys stand |
 * | `:ko`, `:kn:<space>` | sorted set | shared keys by when they open; by name |
 * | `:b:<reason>`, `:b:x`, `:b:d`, `:b:d:<reason>` | sorted set | what is blocked, cancelled, dead, and dead for a reason: by chunk, for searches, as those after them |
 * | `:il:<tag>`, `:ie:<error>`, `:if:<flow>`, `:ip:<parent>` | sorted set | records of each |
 * | `:co:<name>` | set | records that something cancels or completes a waitpoint of, while they have not ended |
 * | `:z:<queue>` | set | who sleeps beside a queue and has room; counts while `z<queue>` is 2 (`lua/wake.ts`) |
 * | `:gone`, `:gl` | hash, list | what removed a record, and its last settlement: of the last ones |
 * | `:call`, `:cl` | hash, list | which record an enqueue has changed, by the id of its own: of the last ones |
 *
 * Of several partitions the first one has these, and the others `{p/1}` and so on; `pt` of the first says how many each queue
 * has. What one has for another is in `lua/forward.ts`.
 */
import { summon } from "./wake.ts"

/** Only what nobody's job is made of may separate fields: JSON text has no control characters. */
export const separators = { group: "\x1d", record: "\x1e", field: "\x1f" }

/** The server's clock in whole milliseconds. */
export const clock = String.raw`
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

/** The head of a record: `struct` of Lua. */
export const layout = "<BI2bBI3I3I3I3I4I4I6I6I6I6"

/** The same of which state, kind and chunk alone are read: half the time. */
export const brief = `<B${"x".repeat(13)}I3I4`

/**
 * As many chunks as have a number in the head of a record as it was enqueued, of 24 bits; without those that the records of one
 * call may begin.
 */
export const lastChunk = 2 ** 24 - 256

/** The number of a kind. Most are known; a chunk of the log is begun when the last one is full. */
export const names = String.raw`
local interned, chunkOf = {}, {}
-- What the head of a record has no room for would be read as something else.
local function seeKinds(many)
  if many <= 65535 then return end
  error({ err = 'FULL this store has had 65,535 kinds of records, by job, queue, retention, priority and version, and tells no ' ..
    'more apart: what it knows goes on; for new ones use those that it knows, or a store of another prefix.' })
end

-- Asked before anything of a call is written, as what a script has written stays when it fails: with all kinds that its records
-- may be of, and the chunk that is open.
local function seeRoom(texts, chunk)
  if tonumber(chunk or '0') > ${lastChunk} then
    error({ err = 'FULL this store has had all the 17 thousand million records that its log has room for, and takes no more: ' ..
      'enqueue into a store of another prefix.' })
  end
  local fields, unknown, seen = {}, {}, {}
  for _, text in ipairs(texts) do
    if not interned[text] and not seen[text] then
      seen[text] = true
      fields[#fields + 1], unknown[#unknown + 1] = 'k' .. text, text
    end
  end
  local new = 0
  for first = 1, #fields, 4000 do
    for i, found in ipairs(call('HMGET', P, unpack(fields, first, math.min(first + 3999, #fields)))) do
      local text, number, last = unknown[first + i - 1], string.match(found or '', '^(%d+):?(%d*)$')
      if number then interned[text], chunkOf[text] = tonumber(number), tonumber(last) else new = new + 1 end
    end
  end
  if new > 0 then seeKinds(tonumber(call('HGET', P, 'kn') or '0') + new) end
end

-- The same with records, of which some may go to another partition.
local function seeRoomFor(specs, chunk)
  local texts = {}
  for _, spec in ipairs(specs) do
    if not spec.to then texts[#texts + 1] = spec.kind end
  end
  if #texts > 0 then seeRoom(texts, chunk) end
end

-- Answers the last chunk that has some of it, too.
local function intern(text)
  if not interned[text] then
    local number, chunk = string.match(call('HGET', P, 'k' .. text) or '', '^(%d+):?(%d*)$')
    if not number then
      seeKinds(tonumber(call('HGET', P, 'kn') or '0') + 1)
      number = call('HINCRBY', P, 'kn', 1)
      call('HSET', P, 'k' .. text, number, 't' .. number, text)
      call('SADD', P .. ':qs', string.match(text, '^[^\31]*\31([^\31]*)'))
    end
    interned[text], chunkOf[text] = tonumber(number), tonumber(chunk)
  end
  return interned[text], chunkOf[text]
end

local function mark(kind, chunk) call('ZADD', P .. ':ok:' .. kind, chunk, chunk) end

-- A chunk has its first record of a kind.
local function markKind(text, number, chunk)
  mark(number, chunk)
  chunkOf[text] = chunk
  call('HSET', P, 'k' .. text, number .. ':' .. chunk)
end

-- Ids have been noted in the order of enqueue: begins the next chunk when this one is full.
local function logged(chunk, length, added)
  local key = P .. ':o:' .. chunk
  if length == added then
    call('HSET', P .. ':og', chunk, 0)
    call('HSET', P .. ':oa', chunk, string.format('%.0f', now))
    mark(0, chunk)
  end
  if length >= 22528 then
    call('HSET', P, 'oc', chunk + 1)
    -- Without the room that the server leaves for more: as much again.
    call('SET', key, call('GET', key))
  end
  return length
end

local function log(chunk, ids) return logged(chunk, call('APPEND', P .. ':o:' .. chunk, ids), #ids) end

-- A new lane of a queue: highest priority first.
local function openLane(queue, priority)
  local key = P .. ':q:' .. queue
  local text = call('HGET', key, 'l') or ''
  if string.find(',' .. text .. ',', ',' .. priority .. ',', 1, true) then return end
  local lanes = { tonumber(priority) }
  for lane in string.gmatch(text, '[^,]+') do lanes[#lanes + 1] = tonumber(lane) end
  table.sort(lanes, function(a, b) return a > b end)
  call('HSET', key, 'l', table.concat(lanes, ','))
end
`

/**
 * `also`: what is read with them. Cost: one read of the namespace's counters, and at the end one write per counter that changed.
 */
export const contextWith = (also: string): string =>
  String.raw`
local H, C, M = P .. ':h', P .. ':c', P .. ':m'
local READY, RUNNING, SCHEDULED, BLOCKED, COMPLETED, CANCELLED, DEAD = 1, 2, 3, 4, 5, 6, 7
local letters = { 'r', 'u', 's', 'b', 'c', 'x', 'd' }
-- state, flags, priority, crashes, fence, settled fence, attempt, kind, chunk, batch, place, at, begun, ready
local LAYOUT = '${layout}'
local HEAD = 49
local MORE, RAN, BEGUN, ADMITTED, RESULT, PROGRESS, LOGS, CHECKPOINTS, EARLY = 1, 2, 4, 8, 16, 32, 64, 128, 256
-- All that it has beside its head is a key of one job, packed with the key at the end (record.ts): who gives it out or completes it
-- takes it from there. Whoever changes it in another way leaves this away, as does the release that does not know of it.
local KEYED = 512

local meta = call('HMGET', P, 'mt', 'lu', 'pk', 'oc', 'ka', 'ag'${also})
local maintainAt = tonumber(meta[1] or '') or math.huge
local isHeard = meta[2] and tonumber(meta[2]) > now
local parked = tonumber(meta[3] or '0')
-- When the first of the shared keys is to be looked at.
local keysAt = tonumber(meta[5] or '') or math.huge
local counts, woken, events, changed = {}, {}, {}, {}

local function count(queue, state, by)
  local of = counts[queue]
  if not of then of = {} counts[queue] = of end
  of[state] = (of[state] or 0) + by
end

-- One of a queue became ready, that whoever has room can take.
local function noteReady(queue, many)
  if woken[queue] ~= true then woken[queue] = (woken[queue] or 0) + many end
end

${summon}
local ends = {}
-- So many records of a chunk are not to run any more.
local function noteEnds(chunk, by) ends[chunk] = (ends[chunk] or 0) + by end

-- maintain has work at this instant, or earlier.
local function foresee(at)
  if at < maintainAt then
    maintainAt = at
    changed.mt = string.format('%.0f', at)
  end
end

local function maintainIn()
  if maintainAt == math.huge then return '' end
  return string.format('%.0f', math.max(0, maintainAt - now))
end

local kinds = {}
-- A kind by its number: job, queue, and for each outcome how long and how many are kept; priority and payload version.
local function kindOf(number)
  local kind = kinds[number]
  if kind then return kind end
  local text = call('HGET', P, 't' .. number)
  local tag, queue, keep, priority, version =
    string.match(text, '^([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)$')
  kind = {
    number = number, text = text, tag = tag, queue = queue, keep = keep, priority = tonumber(priority), version = version,
    shelves = {}
  }
  local outcome = COMPLETED
  for age, limit in string.gmatch(keep, '([^,;]*),([^,;]*)') do
    kind.shelves[outcome] = {
      name = P .. ':f:' .. letters[outcome] .. ':' .. tag .. '\31' .. age .. ',' .. limit,
      age = tonumber(age) or math.huge,
      limit = tonumber(limit) or math.huge
    }
    outcome = outcome + 1
  end
  kinds[number] = kind
  return kind
end

-- Finished records of one kind, oldest first: an entry is an instant and the ids that ended in it.
local function shelve(kind, outcome, ids, many)
  local shelf = kind.shelves[outcome]
  call('RPUSH', shelf.name, string.format('%013.0f', now) .. ids)
  local at = now + shelf.age
  if shelf.limit < math.huge and call('HINCRBY', P .. ':fs', shelf.name, many) > shelf.limit then
    at = now
    call('ZADD', P .. ':sw', at, shelf.name)
  elseif at < math.huge then
    call('ZADD', P .. ':sw', 'NX', at, shelf.name)
  end
  foresee(at)
end

-- So many of a worker's batch of claims are its no longer.
local function letGo(worker, batch, many)
  local key = P .. ':wn:' .. worker
  if call('HINCRBY', key, batch, -many) <= 0 then
    call('HDEL', key, batch)
    call('HDEL', P .. ':wl:' .. worker, batch)
  end
end

-- Since when what starts was ready stands behind all events of a message, in their order: who does not know of it does not read it.
local function tell(type, id, kind, attempt, reason, isSnooze, ready)
  if not isHeard then return end
  local told = { type, id, kind.tag, kind.queue, string.format('%.0f', now), attempt, reason or '' }
  -- Who knows of seven fields alone passes over it.
  if isSnooze then told[8] = 's' end
  if ready then
    events.ready = events.ready or {}
    events.ready[#events.ready + 1] = string.format('%.0f', ready)
  end
  events[#events + 1] = table.concat(told, '\31')
end

-- Writes what has come together. Nobody is told who neither sleeps nor listens.
local function close()
  for queue, of in pairs(counts) do
    for state, by in pairs(of) do
      if by ~= 0 then call('HINCRBY', P .. ':q:' .. queue, letters[state], by) end
    end
  end
  for chunk, by in pairs(ends) do
    if by ~= 0 then call('HINCRBY', P .. ':oe', chunk, by) end
  end
  local fields = {}
  for field, value in pairs(changed) do
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  if #fields > 0 then call('HSET', P, unpack(fields)) end
  for queue, many in pairs(woken) do
    local flag = call('HGET', P, 'z' .. queue)
    if flag then summon(queue, many ~= true and many, flag) end
  end
  if #events > 0 then
    call('PUBLISH', S .. ':e', TAG .. call('HINCRBY', P, 'en', 1) .. '\29' .. table.concat(events, '\30') ..
      (events.ready and '\29' .. table.concat(events.ready, ',') or ''))
  end
end
`

export const context = contextWith("")
