/**
 * `enqueue`: a batch, all or none.
 *
 * Plain records of one kind come as one group and share a head; whether any is there is one read, storing them two writes
 * and a push. Cost: 12 commands a call and 0.6 us a record on two cores; others some ten commands each.
 */
import { lastChunk, layout, names } from "./context.ts"
import { summon } from "./wake.ts"

/**
 * ARGV: JSON of specials or '', then for each group its head, how many records it has, and those: id and rest by turns.
 *
 * Lua hashes every byte of a string that it makes, so a record is an argument of its own, and one more string when its head
 * stands before it; cut from one long argument it was made four times, and cost twice as much.
 */
export const plain = String.raw`
if ARGV[1] == '' then
  local fields, groups, g = { 'oc', 'lu' }, {}, 2
  while ARGV[g] do
    local kind, delay, runAt = string.match(ARGV[g], '^(.*)\30(%d+)\30(-?%d*)$')
    local queue, priority = string.match(kind, '^[^\31]*\31([^\31]*)\31[^\31]*\31([^\31]*)')
    groups[#groups + 1] = {
      kind = kind, queue = queue, priority = priority, due = runAt ~= '' and tonumber(runAt) or now + delay,
      first = g + 2, last = g + 1 + 2 * ARGV[g + 1]
    }
    fields[#fields + 1] = 'k' .. kind
    fields[#fields + 1] = 'z' .. queue
    g = g + 2 + 2 * ARGV[g + 1]
  end
  -- As many at a time as the stack of a call of a command holds: each record may be of another kind, or due at another instant.
  local read = call('HMGET', P, unpack(fields, 1, math.min(#fields, 4000)))
  for first = 4001, #fields, 4000 do
    for _, value in ipairs(call('HMGET', P, unpack(fields, first, math.min(#fields, first + 3999)))) do read[#read + 1] = value end
  end
  local stamp = string.format('%.0f', now)
  -- By queue. Of what is due later, too: as many are to know when.
  local toDo = {}
  local existing, at, heard = {}, 0, read[2] and tonumber(read[2]) > now and {} or nil
  local chunk = tonumber(read[1] or '0')

  local function put(group, number, first, last)
    local key, ids = P .. ':c', {}
    local head = string.format('%04x%06x%011x', number, chunk, now)
    local many = 1
    if first + 1 == last then
      at = at + 1
      ids[1] = ARGV[first]
      if call('HSETNX', key, ids[1], head .. ARGV[last]) == 0 then
        existing[#existing + 1] = at
        return
      end
    else
      for i = first, last, 2 do ids[#ids + 1] = ARGV[i] end
      local found, values, fresh, places, n = call('HMGET', key, unpack(ids)), {}, {}, {}, 0
      for i = 1, #ids do
        if found[i] then existing[#existing + 1] = at + i
        else
          n = n + 1
          local id = ids[i]
          fresh[n], places[n] = id, at + i
          values[2 * n - 1] = id
          values[2 * n] = head .. ARGV[first + 2 * i - 1]
        end
      end
      at = at + #ids
      ids = fresh
      if n == 0 then return end
      many = call('HSET', key, unpack(values))
      -- One that a batch has twice is stored once.
      if many < n then
        local seen = {}
        ids = {}
        for i, id in ipairs(fresh) do
          if seen[id] then existing[#existing + 1] = places[i] else ids[#ids + 1], seen[id] = id, true end
        end
      end
    end
    if group.chunk ~= chunk then
      markKind(group.kind, number, chunk)
      group.chunk = chunk
    end
    local own = chunk
    if log(own, table.concat(ids)) >= 22528 then chunk = chunk + 1 end
    if group.due > now then
      local hot = struct.pack('${layout}', 3, 0, tonumber(group.priority), 0, 0, 0, 0, number, own, 0, 0,
        group.due, 0, now)
      -- A text: a number is printed with all of its digits for each of them.
      local hots, dues, due = {}, {}, string.format('%.0f', group.due)
      for i = 1, #ids do
        hots[2 * i - 1], hots[2 * i] = ids[i], hot
        dues[2 * i - 1], dues[2 * i] = due, ids[i]
      end
      call('HSET', P .. ':h', unpack(hots))
      call('ZADD', P .. ':d:' .. group.queue, unpack(dues))
      call('HINCRBY', P .. ':q:' .. group.queue, 's', many)
    else
      if call('RPUSH', P .. ':l:' .. group.queue .. ':' .. group.priority, unpack(ids)) == #ids then
        openLane(group.queue, group.priority)
      end
      call('HINCRBY', P .. ':q:' .. group.queue, 'r', many)
    end
    toDo[group.queue] = (toDo[group.queue] or 0) + many
    if heard then
      local tag = string.match(group.kind, '^[^\31]*')
      for _, id in ipairs(ids) do
        heard[#heard + 1] = 'enqueued\31' .. id .. '\31' .. tag .. '\31' .. group.queue .. '\31' .. stamp .. '\0310\31'
      end
    end
  end

  local unknown = {}
  for g, group in ipairs(groups) do
    local number, last = string.match(read[2 * g + 1] or '', '^(%d+):?(%d*)$')
    group.number, group.chunk = tonumber(number), tonumber(last)
    if not number then unknown[#unknown + 1] = group.kind end
  end
  seeRoom(unknown, chunk)
  for _, group in ipairs(groups) do
    local number = group.number or intern(group.kind)
    -- A thousand at a time: what the stack of a call of a command holds.
    for first = group.first, group.last, 2000 do put(group, number, first, math.min(first + 1999, group.last)) end
  end
  for g, group in ipairs(groups) do
    local flag, many = read[2 * g + 2], toDo[group.queue]
    if flag and many then
      ${summon}
      summon(group.queue, many, flag)
      toDo[group.queue] = nil
    end
  end
  if heard and #heard > 0 then
    call('PUBLISH', S .. ':e', TAG .. call('HINCRBY', P, 'en', 1) .. '\29' .. table.concat(heard, '\30'))
  end
  return table.concat(existing, ',')
end
`

/**
 * One plain record that may run now, of a kind that is known: what most enqueues are that come alone. Answers 1, 0 when it
 * is there already, and nothing when it is not as simple as that: then the batch's way is taken.
 *
 * ARGV: kind, queue, priority, id, rest. Cost: six commands; 69,000 instructions of the server (callgrind), of which 14,000 are
 * those of a script that does nothing. They were 74,000: a number as an argument is printed with 17 digits before it is read
 * again, which takes 2,500, so what is known is a text; kind and chunk are formatted as one number, 1,200; what a chunk or a
 * lane that begins takes is made in its branch and not as a function each time, 1,300.
 *
 * While somebody sleeps beside the queue it takes three commands more: names are drawn, their leases read, a message is published.
 */
export const one = String.raw`
local read = call('HMGET', P, 'oc', 'lu', 'k' .. ARGV[1], 'z' .. ARGV[2])
local chunk, id = read[1] or '0', ARGV[4]
if not read[3] or read[2] and tonumber(read[2]) > now or #chunk > 7 and chunk > '${lastChunk}' then return '' end
local number, last = string.match(read[3], '^(%d+):?(%d*)$')
if call('HSETNX', P .. ':c', id, string.format('%010x%011x', number * 16777216 + chunk, now) .. ARGV[5]) == 0 then return 0 end
local length = call('APPEND', P .. ':o:' .. chunk, id)
local queue = P .. ':q:' .. ARGV[2]
local isLogged = length > 22 and length < 22528 and last == chunk
local isOpen = call('RPUSH', P .. ':l:' .. ARGV[2] .. ':' .. ARGV[3], id) > 1 or call('HGET', queue, 'l') == ARGV[3]
if not (isLogged and isOpen) then
  ${names}
  if last ~= chunk then markKind(ARGV[1], number, chunk) end
  if not isLogged then logged(chunk, length, 22) end
  if not isOpen then openLane(ARGV[2], ARGV[3]) end
end
call('HINCRBY', queue, 'r', '1')
if read[4] then
  ${summon}
  summon(ARGV[2], 1, read[4])
end
return 1
`

/** A batch of records of any kind, all or none: how it is stored, and what is answered for each. */
export const all = String.raw`
-- The record that stands for all, when it is one thing, is named by its id, else ''.
local function storeAll(specs, whole, happen)
  local answers = {}
  local isWhole = whole ~= ''
  seeRoomFor(specs, meta[4])
  readAll(specs)
  if areKeyed(specs) and not isWhole and not happen then return storeKeyed(specs) end
  for _, spec in ipairs(specs) do
    local known = spec.id == whole and knownAs(spec)
    if known then
      for i, each in ipairs(specs) do answers[i] = 'Existing,' .. (each == spec and known.id or each.id) end
      return answers
    end
  end
  local conflicts = (#specs > 1 or isWhole or happen or specs[1].dependents) and conflictsOf(specs, isWhole)
  if conflicts then
    for i, spec in ipairs(specs) do
      answers[i] = conflicts[i] or 'Refused,' .. spec.id
    end
    return answers
  end
  if happen then happen() end
  local function store()
    for i, spec in ipairs(specs) do
      local outcome, id = enqueueOne(spec)
      answers[i] = outcome .. ',' .. id
    end
  end
  if isWhole then L.indexTogether(store) else store() end
  return answers
end
`

/** ARGV[2]: the attempt on whose behalf it is made, id and fence. ARGV[3]: the record that stands for all, when it is one thing.
 * ARGV[4]: JSON of what it does to others, if anything, ARGV[5]: how many partitions there are. */
export const special = String.raw`
local by = ARGV[2]
if by ~= '' then
  local row = load(string.sub(by, 1, 22))
  if not row or row.state ~= RUNNING or row.fence ~= tonumber(string.sub(by, 23)) then return 'LeaseLost' end
end
local specs = cjson.decode(ARGV[1])

-- What the batch does to others, here and in the other partitions.
local function happen()
  local own, many = tonumber(string.match(TAG, '^%d+') or '0'), tonumber(ARGV[5])
  -- By what each is known in its partition.
  local known = {}
  for i, spec in ipairs(specs) do
    local its = spec.text and cjson.decode(spec.text) or spec
    known[i] = { id = its.id, tag = its.tag, idempotencyKey = its.idempotencyKey }
  end
  local text = many > 1 and cjson.encode(known)
  for _, event in ipairs(cjson.decode(ARGV[4])) do
    local completes = event.waitpoint ~= nil
    if completes then L.completeOn(event.on, known, event.waitpoint, event.value)
    else L.cancelOn(event.on, known, event.reason) end
    for to = 0, many - 1 do
      if to ~= own then
        local there = string.format('%d', to)
        if completes then L.post(there, 'complete', text, event.on, event.waitpoint, event.value)
        else L.post(there, 'cancel', text, event.on, event.reason) end
      end
    end
  end
end

-- What is one thing goes to another partition as one.
local answers = ARGV[3] ~= '' and specs[1].to and L.sendAll(specs, ARGV[3]) or storeAll(specs, ARGV[3], ARGV[4] and happen)
flush()
close()
return table.concat(answers, ';')
`
