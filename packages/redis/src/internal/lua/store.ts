/** Stores one record of any kind: idempotency first, then the unique key, then the record. Cost: some ten commands. */
export const store = String.raw`
-- The record that answers a call which was made before.
local function knownAs(spec)
  local row = load(spec.id)
  if row or not spec.idempotencyKey then return row end
  local id = call('HGET', P .. ':i', scoped(spec.tag, spec.idempotencyKey))
  return id and load(id) or nil
end

-- The record that such a call has changed instead of storing its own, which has perhaps run, or been changed again, since.
local function changedBy(spec) return spec.unique and call('HGET', P .. ':call', spec.id) end

-- Where a record of this spec runs from, and since when.
local function dueOf(spec) return spec.runAt or now + spec.delay end

-- What only some records have, of a spec. A record without any of it has no "more".
local function moreOf(spec, due)
  if not (spec.unique or spec.key or spec.startBefore or spec.dependencies or spec.idempotencyKey or spec.labels or
    spec.listens or spec.flow or spec.parent) then return nil end
  return {
    due = due, unique = spec.unique, key = spec.key, limit = spec.limit, startBefore = spec.startBefore,
    keys = spec.idempotencyKey and { spec.idempotencyKey } or nil, labels = spec.labels, flow = spec.flow,
    parent = spec.parent, listens = spec.listens
  }
end

local function setIdempotency(row, spec)
  if not spec.idempotencyKey then return end
  call('HSET', P .. ':i', scoped(spec.tag, spec.idempotencyKey), row.id)
end

-- A new record. It waits for the end of another one when it is that one's successor; else it takes its unique key.
local function insert(spec, waitsFor)
  local number, last = intern(spec.kind)
  local kind = kindOf(number)
  local due = dueOf(spec)
  local chunk = tonumber(meta[4] or '0')
  if tonumber(last) ~= chunk then markKind(spec.kind, number, chunk) end
  if log(chunk, spec.id) >= 22528 then meta[4] = chunk + 1 end
  local row = {
    id = spec.id, state = BLOCKED, crashes = 0, fence = 0, settled = 0, attempt = 0, batch = 0, begun = 0, tail = '',
    kind = kind.number, chunk = chunk, place = 0, priority = kind.priority, at = now, ready = now,
    more = moreOf(spec, due), head = { kind = kind.number, chunk = chunk, at = now }
  }
  row.isNewMore = row.more ~= nil
  setCold(row, spec.rest)
  rows[row.id] = row
  count(kind.queue, BLOCKED, 1)
  setIdempotency(row, spec)
  if row.more then
    L.index(row)
    L.listen(row, 'SADD')
    L.watchExpiry(row)
  end
  if not waitsFor then
    L.hold(row)
  else
    L.block(row, 'Unique', waitsFor.id)
    more(waitsFor).successor = row.id
  end
  -- Before its own: one that is dead at once is told to whoever waits for it.
  for _, each in ipairs(spec.dependents or {}) do L.connect(load(each.id), row.id, each.policy, each.name) end
  if spec.dependencies then L.awaitAll(row, spec.dependencies)
  elseif not waitsFor then L.run(row, due) end
  tell('enqueued', row.id, kind, 0)
end

-- The record that a conflict changes: the holder while it waits, else its successor. One that was given back before it began
-- may have a successor by now: with replace the last contents belong into what runs last.
local function replaceable(holder, policy)
  if policy == 'keep' or holder.state == COMPLETED then return nil end
  local successor = policy == 'replace' and L.successorOf(holder)
  if successor then return successor end
  if isWaiting(holder) then return policy ~= 'runAfter' and holder or nil end
  return policy == 'runAfter' and L.successorOf(holder) or nil
end

-- New contents of a waiting record, and when it is due. A ready one keeps its place unless it is to run later.
function L.edit(row, due)
  row.fence = row.fence + 1
  if row.more then
    row.more.due = due
    row.isNewMore = true
    L.watchExpiry(row)
  end
  if row.state == BLOCKED and row.more.blocked ~= 'ConcurrencyKey' then
    -- What it waits for decides when it runs. A worker that sleeps may have the version of the new contents.
    L.seeVersion(row)
    woken[queueOf(row)] = true
  elseif due > now or row.state == SCHEDULED then
    L.run(row, due)
  else
    L.admit(row, false)
  end
end

-- An idempotency key stays known when the contents that came with it are replaced: a call that is repeated because its
-- reply was lost would otherwise undo the replacement.
local function addKey(row, spec)
  if not spec.idempotencyKey then return end
  setIdempotency(row, spec)
  local its = more(row)
  its.keys = its.keys or {}
  table.insert(its.keys, spec.idempotencyKey)
end

local function replace(row, spec)
  local its, new = more(row), moreOf(spec, dueOf(spec))
  -- It stays in its queue. First of all: where the store knows no more kinds nothing is to be written.
  local queue = queueOf(row)
  local kind = kindIn(row.chunk, (string.gsub(spec.kind, '^([^\31]*\31)[^\31]*', function(tag) return tag .. queue end)))
  if its.key ~= new.key then L.freeSlot(row) end
  L.unindex(row)
  L.listen(row, 'SREM')
  if its.startBefore then call('ZREM', P .. ':x', row.id) end
  -- Contents change neither who has the key nor until when: repair gives it back by this.
  new.unique.heldUntil, new.unique.lost = its.unique.heldUntil, its.unique.lost
  -- All else that it has is of its life, as a step that can be undone, and stays.
  local contents = { 'due', 'unique', 'key', 'limit', 'startBefore', 'labels', 'flow', 'parent', 'listens' }
  for _, name in ipairs(contents) do its[name] = new[name] end
  headOf(row)
  row.kind, row.priority = kind, kindOf(kind).priority
  setCold(row, spec.rest)
  addKey(row, spec)
  L.index(row)
  L.listen(row, 'SADD')
  L.edit(row, dueOf(spec))
end

local function reschedule(row, spec)
  addKey(row, spec)
  L.edit(row, dueOf(spec))
end

-- Whether a conflict stores the new record beside a holder that it does not change.
local function isFollowed(holder, policy)
  return (policy == 'runAfter' or policy == 'trailing') and not isWaiting(holder) or policy == 'replace' and holder.state ~= COMPLETED
end

-- The table of unique conflicts, by how the holder stands.
local function resolve(holder, spec)
  local policy = spec.unique.policy
  local row = replaceable(holder, policy)
  if row then
    if row.more.flow or spec.flow then return 'UniqueConflict', row.id end
    -- One that is put off again and again is due no later than it may wait in all.
    if spec.unique.maxWait then spec.runAt = math.min(dueOf(spec), headOf(row).at + spec.unique.maxWait) end
    if policy == 'trailing' then spec.runAt = row.more.due end
    if policy == 'reschedule' then reschedule(row, spec) else replace(row, spec) end
    L.rememberCall(spec.id, row)
    return 'Replaced', row.id
  end
  if policy == 'trailing' then
    -- It waits for the window's end, and has the key from now on: the next one of this window finds it.
    local held = call('HGET', P .. ':u', scoped(spec.tag, spec.unique.key))
    spec.runAt = math.max(tonumber(string.sub(held, 23)) or now, dueOf(spec))
    L.lose(holder)
    insert(spec)
    return 'Inserted', spec.id
  end
  -- Who waits for a member of a flow would not wait for the holder.
  if not isFollowed(holder, policy) then return spec.flow and 'UniqueConflict' or 'Existing', holder.id end
  -- A finished holder has the key for the rest of its window: the new record takes it over.
  if holder.state == COMPLETED then L.lose(holder) end
  insert(spec, holder.state ~= COMPLETED and holder or nil)
  return 'Inserted', spec.id
end

-- What each record of a batch is to ask, asked once for all: whether it is there, and how its key stands.
local function readAll(specs)
  if #specs < 2 then return end
  local ids, own, shared, seen = {}, {}, {}, {}
  for i, spec in ipairs(specs) do
    ids[i] = spec.id
    if spec.key and not seen[spec.key] then
      seen[spec.key] = true
      local keys = L.isShared(spec.key) and shared or own
      keys[#keys + 1] = spec.key
    end
  end
  for first = 1, #ids, 1000 do
    local last = math.min(first + 999, #ids)
    local hots, colds = call('HMGET', H, unpack(ids, first, last)), call('HMGET', C, unpack(ids, first, last))
    for i = first, last do
      if not hots[i - first + 1] and not colds[i - first + 1] and rows[ids[i]] == nil then rows[ids[i]] = false end
    end
  end
  L.readSlots(own)
  L.readKeys(shared)
end

-- Answers outcome and id.
local function enqueueOne(spec)
  if spec.to then return L.send(spec, '') end
  local known = knownAs(spec)
  if known then return 'Existing', known.id end
  local changed = changedBy(spec)
  if changed then return 'Replaced', changed end
  local holder = spec.unique and L.holder(spec.tag, spec.unique.key)
  if holder then
    local outcome, id = resolve(holder, spec)
    if outcome ~= 'UniqueConflict' or not spec.anyway then return outcome, id end
    L.leaveKey(spec)
  end
  insert(spec)
  return 'Inserted', spec.id
end

-- What records of a kind share that are stored together.
local function sharedBy(kindText, chunk)
  local number, last = intern(kindText)
  local kind = kindOf(number)
  if tonumber(last) ~= chunk then markKind(kindText, number, chunk) end
  return {
    kind = kind, cold = string.format('%04x%06x%011x', kind.number, chunk, now), shared = {},
    headAt = function(place, flags)
      return struct.pack(LAYOUT, READY, MORE + ADMITTED + flags, kind.priority, 0, 0, 0, 0, kind.number, chunk, 0, place, now, 0,
        now)
    end
  }
end

-- Records with a key and nothing else that another one could have too, of a batch that was read: those that may run now are
-- stored in some commands for all of them. Cost: 4 us a record on two cores, most of it their JSON.
local function storeKeyed(specs)
  local kinds, answers, stored = {}, {}, {}
  local hots, packed, colds, ids, n = {}, {}, {}, {}, 0
  local chunk = tonumber(meta[4] or '0')
  local lastDue, lastLimit, before
  for i, spec in ipairs(specs) do
    local id, key, due = spec.id, spec.key, dueOf(spec)
    local isShared = L.isShared(key)
    if stored[id] then
      answers[i] = 'Existing,' .. id
    elseif rows[id] ~= false or due > now or not (isShared and L.takeShared or L.takeSlot)(key, spec.limit) then
      local outcome, its = enqueueOne(spec)
      answers[i] = outcome .. ',' .. its
    else
      stored[id] = true
      local of = kinds[spec.kind]
      if not of then of = sharedBy(spec.kind, chunk) kinds[spec.kind] = of end
      if due ~= lastDue or spec.limit ~= lastLimit then
        lastDue, lastLimit, before = due, spec.limit, K.head(due, spec.limit)
      end
      local its = before and K.fits(key) and K.packed(before, key)
      local queue, hot = of.kind.queue, nil
      if isShared then
        local place, state = L.placeOf(key, queue), L.keyOf(key)
        hot = of.shared[place] or of.headAt(place, EARLY)
        of.shared[place] = hot
        state.r = state.r + 1
        addEarly(queue, id, -of.kind.priority * 17592186044416 + place)
      else
        if its then
          of.keyed = of.keyed or of.headAt(now, KEYED)
          hot = of.keyed
        else
          hot = of.headAt(now, 0)
        end
        push(queue, of.kind.priority, id)
      end
      ids[#ids + 1] = id
      hots[n + 1], packed[n + 1], colds[n + 1] = id, id, id
      hots[n + 2], packed[n + 2] = hot, its or cmsgpack.pack({ due = due, key = key, limit = spec.limit })
      colds[n + 2] = of.cold .. spec.rest
      n = n + 2
      rows[id] = nil
      count(queue, READY, 1)
      noteReady(queue, 1)
      tell('enqueued', id, of.kind, 0)
      answers[i] = 'Inserted,' .. id
    end
  end
  if n > 0 and log(chunk, table.concat(ids)) >= 22528 then meta[4] = chunk + 1 end
  setAll(H, hots, n)
  setAll(M, packed, n)
  setAll(C, colds, n)
  return answers
end

-- Whether none of them has anything but a key.
local function areKeyed(specs)
  if #specs < 2 then return false end
  for _, spec in ipairs(specs) do
    if not spec.key or spec.to or spec.unique or spec.idempotencyKey or spec.startBefore or spec.dependencies or
      spec.dependents or spec.listens or spec.labels or spec.flow or spec.parent then return false end
  end
  return true
end

-- What a batch is refused for, by position, nil when it is not: members of flows that it would replace, records that it would
-- leave out though it is one thing or they are members of flows, records that have begun and were to wait for one of it.
local function conflictsOf(specs, isWhole)
  -- Who of the batch has a unique key, or the next turn of it.
  local own, found = {}, nil
  -- Whether a conflict changes who waits since the same batch: for its first start, or for the end of a holder.
  local function changes(policy, holder)
    if policy == 'runAfter' then return holder and holder.state ~= COMPLETED end
    return policy ~= 'keep'
  end
  local function add(i, outcome, id)
    found = found or {}
    found[i] = outcome .. ',' .. id
  end
  for i, spec in ipairs(specs) do
    local isKnown = (spec.unique or spec.dependents) and (knownAs(spec) or changedBy(spec))
    local begun = not isKnown and L.begunOf(spec.dependents)
    if begun then add(i, 'Begun', begun) end
    if spec.unique and not isKnown then
      local policy = spec.unique.policy
      local name = scoped(spec.tag, spec.unique.key)
      local holder = L.holder(spec.tag, spec.unique.key)
      local row = holder and replaceable(holder, policy)
      local isBeside = not holder or not row and isFollowed(holder, policy)
      -- It is stored under its own id, or nothing is.
      local isItself, first = isWhole or spec.flow, own[name]
      if row and row.more.flow then add(i, 'UniqueConflict', row.id)
      elseif first and first.id ~= spec.id and (isItself or first.flow and changes(policy, holder)) then
        add(i, 'UniqueConflict', first.id)
      elseif isItself and not isBeside then add(i, 'UniqueConflict', holder.id)
      elseif isBeside and not first then own[name] = spec end
    end
  end
  return found
end
`
