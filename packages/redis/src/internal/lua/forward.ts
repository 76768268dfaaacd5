/**
 * What one partition has for another: written with what it follows from, in the same script, and forwarded in that order.
 *
 * An entry has a number that rises for ever, also over a failover. The other partition takes entries of each partition in
 * their order and keeps the number of the last one: so an entry that is sent twice counts once, whoever sends it, and one is
 * removed where it came from only when it has been taken.
 *
 * Keys: `:to` partitions for which something waits, `:to:<partition>` a list of what, `:tx` records that are on their way,
 * `:from` number of the last entry that was taken, by partition.
 */

/** What the library takes of it. Cost: five commands an entry. */
export const post = String.raw`
function L.post(to, kind, ...)
  local number = math.max(tonumber(call('HGET', P, 'tn') or '0') + 1, now * 1024)
  local text = string.format('%.0f', number)
  call('HSET', P, 'tn', text)
  call('SADD', P .. ':to', to)
  call('RPUSH', P .. ':to:' .. to, table.concat({ text, kind, ... }, '\31'))
  foresee(now)
end

-- A record for another partition, and the edge that waits for its end or ''.
function L.send(spec, waiter)
  call('HSET', P .. ':tx', spec.id, spec.to)
  L.post(spec.to, 'record', spec.id, waiter, spec.text)
  return 'Deferred', spec.id
end

-- Records that are one thing, for which one of them stands.
function L.sendAll(specs, whole)
  local ids, texts, answers = {}, {}, {}
  for i, spec in ipairs(specs) do
    call('HSET', P .. ':tx', spec.id, spec.to)
    ids[i], texts[i], answers[i] = spec.id, spec.text, 'Deferred,' .. spec.id
  end
  L.post(specs[1].to, 'whole', whole, table.concat(ids), '[' .. table.concat(texts, ',') .. ']')
  return answers
end

-- A queue is closed here, and is to be in its other partitions.
function L.closeElsewhere(queue, partitions, until_)
  local own = tonumber(string.match(TAG, '^%d+'))
  for to = 0, (partitions[queue] or 1) - 1 do
    if to ~= own then L.post(string.format('%d', to), 'close', '', queue, string.format('%.0f', until_)) end
  end
end
`

/** ARGV: how many for each. Answers for each partition its number and what waits for it. */
export const outgoing = String.raw`
local found = {}
for _, to in ipairs(call('SMEMBERS', P .. ':to')) do
  found[#found + 1] = { to, call('LRANGE', P .. ':to:' .. to, 0, tonumber(ARGV[1]) - 1) }
end
return found
`

/**
 * ARGV: the partition that it comes from, entries. Answers for each entry the records of it, each with outcome and id, and
 * whether something waits here now.
 */
export const receive = String.raw`
local source = ARGV[1]
local last = tonumber(call('HGET', P .. ':from', source) or '0')
local take = {}

-- An edge of the other partition waits for a record of this one.
local function await(row, edge)
  local answer = L.watch(row, edge .. '@' .. source)
  if answer ~= '' then L.closeEdge(edge .. '@' .. source, answer) end
end

function take.record(id, edge, spec)
  -- Sent again because a reply was lost, and run to its end meanwhile. A member of a flow may be stored again under its id.
  if not spec.flow and call('HEXISTS', P .. ':gone', id) == 1 then
    -- Who waits for it is told, in case that its end has not been told to this edge.
    if edge ~= '' then L.closeEdge(edge .. '@' .. source, 'g', true) end
    return id .. ',Existing,' .. id
  end
  local outcome, found = enqueueOne(spec)
  if edge ~= '' then await(outcome ~= 'UniqueConflict' and load(found) or nil, edge) end
  return id .. ',' .. outcome .. ',' .. found
end

function take.whole(id, _, specs)
  local answers = storeAll(specs, id)
  for i, spec in ipairs(specs) do answers[i] = spec.id .. ',' .. answers[i] end
  return table.concat(answers, '|')
end

function take.await(id, edge)
  await(load(id), edge)
  return ''
end

function take.ended(id, number, text)
  local onlyOpen, answer = string.match(text, '^(1?)\31(.*)$')
  L.closeEdge(id .. number, answer, onlyOpen ~= '')
  return ''
end

function take.again(id, number)
  L.reopenFor(id .. number)
  return ''
end

function take.close(_, queue, until_)
  L.closeQueue(queue, tonumber(until_))
  return ''
end

-- Of the records of the call that had the event: nothing from a release before.
local function ownOf(text) return text ~= '' and cjson.decode(text) or {} end

function take.cancel(own, on, reason)
  L.cancelOn(on, ownOf(own), reason)
  return ''
end

function take.complete(own, on, text)
  L.completeOn(on, ownOf(own), string.match(text, '^([^\31]*)\31(.*)$'))
  return ''
end

-- What somebody else has forwarded: a record under its own id is there by this.
local known = {}

function known.record(id, spec)
  local changed = changedBy(spec)
  if changed then return id .. ',Replaced,' .. changed end
  local row = knownAs(spec) or spec.unique and L.holder(spec.tag, spec.unique.key)
  return id .. ',' .. (row and row.id ~= id and 'Existing,' .. row.id or 'Inserted,' .. id)
end

function known.whole(id, specs)
  local answers, holder = {}, nil
  for _, spec in ipairs(specs) do
    if spec.id == id then holder = knownAs(spec) end
  end
  local wasStored = holder or call('HEXISTS', P .. ':gone', id) == 1
  local outcome = holder and holder.id ~= id and 'Existing,' or 'Inserted,'
  local conflicts = not wasStored and conflictsOf(specs, true) or {}
  for i, spec in ipairs(specs) do
    local answer = outcome .. (spec.id == id and holder and holder.id or spec.id)
    if next(conflicts) then answer = conflicts[i] or 'Refused,' .. spec.id end
    answers[i] = spec.id .. ',' .. answer
  end
  return table.concat(answers, '|')
end

local entries, records = {}, {}
for i = 2, #ARGV do
  local number, kind, id, name, rest = string.match(ARGV[i], '^(%d+)\31(%a+)\31([^\31]*)\31([^\31]*)\31?(.*)$')
  local entry = { number = tonumber(number), kind = kind, id = id, name = name, its = rest }
  if known[kind] then
    entry.its = cjson.decode(rest)
    local isTaken = entry.number <= last
    for _, spec in ipairs(isTaken and {} or kind == 'whole' and entry.its or { entry.its }) do records[#records + 1] = spec end
  end
  entries[i - 1] = entry
end
seeRoomFor(records, meta[4])
local answers = {}
for i, entry in ipairs(entries) do
  if entry.number > last then
    last = entry.number
    answers[i] = take[entry.kind](entry.id, entry.name, entry.its)
  else
    answers[i] = known[entry.kind] and known[entry.kind](entry.id, entry.its) or ''
  end
end
call('HSET', P .. ':from', source, string.format('%.0f', last))
flush()
close()
return { table.concat(answers, ';'), call('EXISTS', P .. ':to') }
`

/** ARGV: partition, number of the last entry that it has taken. */
export const sent = String.raw`
local key, last = P .. ':to:' .. ARGV[1], tonumber(ARGV[2])
while true do
  local entry = call('LINDEX', key, 0)
  if not entry then
    call('SREM', P .. ':to', ARGV[1])
    return 0
  end
  local number, kind, id, ids = string.match(entry, '^(%d+)\31(%a+)\31([^\31]*)\31([^\31]*)')
  if tonumber(number) > last then return 1 end
  call('LPOP', key)
  if kind == 'record' then call('HDEL', P .. ':tx', id) end
  if kind == 'whole' then
    for each in string.gmatch(ids, '......................') do call('HDEL', P .. ':tx', each) end
  end
end
`

/**
 * ARGV: ids. Answers of each whether it is here, or was, or has been sent from here and not arrived; and of one whose enqueue has
 * changed another record the id of that.
 */
export const whereabouts = String.raw`
local found = {}
for i, id in ipairs(ARGV) do
  if call('HEXISTS', P .. ':c', id) == 1 then found[i] = 'here'
  elseif call('HEXISTS', P .. ':gone', id) == 1 then found[i] = 'gone'
  elseif call('HEXISTS', P .. ':tx', id) == 1 then found[i] = 'sent'
  else found[i] = call('HGET', P .. ':call', id) or '' end
end
return table.concat(found, ',')
`

/**
 * A worker holds at most one record that has crashed others, in whatever partition (P10): while it holds one elsewhere, or
 * another partition may give it one in this exchange, it is given none here. ARGV[7] says the latter.
 */
export const elsewhere = String.raw`
local holdsElsewhere = call('HEXISTS', P .. ':wi:' .. worker, 'sx') == 1
local mayBeGiven = ARGV[7] and not holdsElsewhere and tonumber(about[1] or '0') == 0
if ARGV[7] or holdsElsewhere then about[1], about.elsewhere = tonumber(about[1] or '0') + 1, 1 end
`

/** The next one to be asked for such a record is a partition that has one. */
export const mayBeGiven = "if mayBeGiven and call('EXISTS', P .. ':s:' .. queue.name) == 1 then return true end"

/** ARGV: worker, '1' when it holds such a record elsewhere. When it dies with that, what it holds here is not to blame. */
export const spare = String.raw`
local about = P .. ':wi:' .. ARGV[1]
if ARGV[2] == '1' then call('HSET', about, 'sx', 1) else call('HDEL', about, 'sx') end
return 1
`

/** Something waits to be forwarded still: another try a second later. */
export const again = String.raw`
if call('EXISTS', P .. ':to') == 1 then maintainAt = math.min(maintainAt, now + 1000) end
`
