/**
 * Who waits for whom. A record that waits has a numbered edge for each other: who that is, what its failure means, under which
 * name, and how it ended; the other has a list of the edges that it is waited for by. What has ended is remembered for as long
 * as the record that waits is there, and is open again when that one runs again.
 *
 * An edge between two partitions lies in that of the record that waits; the entry in the other's list names this partition, to
 * which what happens goes as an intent (`forward.ts`).
 *
 * Cost: two commands an edge when it is made, two when it closes. Of a record that many wait for, so many go on in the call that
 * ends it, or lets it run again, and the others follow in the next exchanges.
 */
export const flow = String.raw`
-- How many edges one call closes of one record, and how much of what is left over an exchange does.
local EDGES = 500

local function edgesOf(row) return P .. ':dp:' .. row.id end
local function awaitedBy(row) return P .. ':dw:' .. row.id end

-- The parts of an edge: who is waited for, what a failure means (0 fail, 1 cancel siblings, 2 continue, 3 a child, 4 a child with
-- which it is done), the name, and how it ended: empty while it is open, else a letter and a text.
local function partsOf(edge)
  local at = string.find(edge, '\31', 24, true)
  return string.sub(edge, 1, 22), string.sub(edge, 23, 23), string.sub(edge, 24, at - 1), string.sub(edge, at + 1)
end

local function breaks(policy, answer)
  local first = string.sub(answer, 1, 1)
  return policy < '2' and answer ~= '' and first ~= 'c' and first ~= 'n'
end

local function isStrict(row)
  local blocked = row.state == BLOCKED and row.more.blocked
  return blocked == 'Dependencies' or blocked == 'Unique'
end

-- What is left for the next exchanges.
local function defer(item, queue)
  call('RPUSH', P .. ':ag', item)
  changed.ag = 1
  woken[queue] = true
end

-- How a record has ended.
local function answerOf(row)
  local its = row.more or {}
  if row.state == COMPLETED then
    local result = row.hasResult and call('HGET', P .. ':r', row.id)
    return result and 'c' .. result or 'n'
  end
  if row.state == CANCELLED then return 'x' .. (its.cancel or '') end
  local failure = its.failures and its.failures[#its.failures]
  return 'd{"reason":"' .. (its.deadReason or 'Defect') .. '"' .. (failure and ',"failure":' .. failure or '') .. '}'
end

-- How a dead record has ended, as JSON.
function L.deathOf(row) return string.sub(answerOf(row), 2) end

-- Notes the edge that a record is waited for by. Answers how it has ended, empty when that is to come.
function L.watch(other, entry)
  if not other then return 'g' end
  more(other).awaited = true
  call('RPUSH', awaitedBy(other), entry)
  return isFinal(other) and answerOf(other) or ''
end

-- Lets a record wait for another one, or notes how that one has ended. Of one that lies elsewhere this is told. Answers the
-- number of the edge.
function L.connect(row, id, policy, name, isElsewhere, edges)
  local its = more(row)
  its.edges = (its.edges or 0) + 1
  its.pending = its.pending or 0
  local answer = isElsewhere and '' or L.watch(load(id), row.id .. its.edges)
  if answer == '' then its.pending = its.pending + 1 end
  if breaks(policy, answer) then its.broken = (its.broken or 0) + 1 end
  if policy == '3' then its.left = true end
  local edge = id .. policy .. name .. '\31' .. answer
  if edges then edges[#edges + 1], edges[#edges + 2] = its.edges, edge
  else call('HSET', edgesOf(row), its.edges, edge) end
  return its.edges
end

local function goOn(row)
  local its = more(row)
  if its.pending > 0 or (its.blocked ~= 'Dependencies' and its.blocked ~= 'Children') then return end
  -- What waits for its children has begun: when it was due once is over, also when somebody let it run before.
  L.run(row, its.blocked == 'Children' and now or its.due or 0)
end

local words = { x = 'was cancelled', d = 'is dead', g = 'is gone' }

local function die(row, id, policy, name, answer)
  local what = name .. ', record ' .. L.uuidOf(id)
  row.fence = row.fence + 1
  more(row).deadReason = 'DependencyFailed'
  L.keepFailure(row, string.format('{"attempt":%d,"at":%.0f,"kind":"Dependency","tag":"DependencyFailed","message":', row.attempt,
    now) .. cjson.encode('it waited for ' .. what .. ', which ' .. words[string.sub(answer, 1, 1)]) .. '}')
  L.errorTag(row, 'DependencyFailed')
  L.finish(row, DEAD, 'DependencyFailed')
  L.follow(row)
  if policy ~= '1' then return end
  for _, edge in ipairs(call('HVALS', edgesOf(row))) do
    local sibling, _, _, how = partsOf(edge)
    if how == '' then defer('c' .. sibling .. row.id .. what .. ', failed beside it', queueOf(row)) end
  end
end

-- A new record waits for its dependencies; it is dead when one of them has failed already.
function L.awaitAll(row, dependencies)
  if not more(row).blocked then L.block(row, 'Dependencies') end
  local edges = {}
  for _, each in ipairs(dependencies) do
    local number = L.connect(row, each.id, each.policy, each.name, each.to, edges)
    if each.to then L.post(each.to, 'await', each.id, row.id .. number) end
  end
  setAll(edgesOf(row), edges, #edges)
  if not row.more.broken then return goOn(row) end
  for _, edge in ipairs(call('HVALS', edgesOf(row))) do
    local id, policy, name, answer = partsOf(edge)
    if breaks(policy, answer) then return die(row, id, policy, name, answer) end
  end
end

-- An entry of that list is an id, a number, and the partition when it is another.
local function elsewhere(entry)
  local at = string.find(entry, '@', 23, true)
  if at then return string.sub(entry, at + 1), string.sub(entry, 1, 22), string.sub(entry, 23, at - 1) end
end

-- Closes one edge, by its entry in the list of who is waited for.
function L.closeEdge(entry, answer, onlyOpen)
  local to, id, number = elsewhere(entry)
  if to then return L.post(to, 'ended', id, number, onlyOpen and 1 or '', answer) end
  local row = load(string.sub(entry, 1, 22))
  local number = row and string.sub(entry, 23)
  local edge = row and call('HGET', edgesOf(row), number)
  if not edge then return end
  local id, policy, name, was = partsOf(edge)
  if onlyOpen and was ~= '' then return end
  local its = more(row)
  call('HSET', edgesOf(row), number, id .. policy .. name .. '\31' .. answer)
  if was == '' then its.pending = its.pending - 1 end
  if breaks(policy, was) then its.broken = its.broken - 1 end
  local isBroken = breaks(policy, answer)
  if isBroken then its.broken = (its.broken or 0) + 1 end
  if row.state ~= BLOCKED then return end
  if isBroken and isStrict(row) then die(row, id, policy, name, answer) else goOn(row) end
end

-- A record has ended: whoever waits for it is told, the first of many now.
function L.tellEnd(row, from)
  from = from or 0
  local answer, key = answerOf(row), awaitedBy(row)
  local entries = call('LRANGE', key, from, from + EDGES - 1)
  for _, entry in ipairs(entries) do L.closeEdge(entry, answer) end
  if #entries == EDGES and call('LLEN', key) > from + EDGES then
    defer('e' .. row.id .. (from + EDGES), queueOf(row))
  end
end

-- A record is gone, or is about to be: the first of who waits for it are told, the others in the next exchanges.
local function closeSome(id, answer, queue)
  local key = P .. ':dw:' .. id
  for _, entry in ipairs(call('LPOP', key, EDGES) or {}) do L.closeEdge(entry, answer, true) end
  if call('EXISTS', key) == 1 then defer('g' .. id .. queue .. '\31' .. answer, queue) end
end

function L.tellGone(row) closeSome(row.id, isFinal(row) and answerOf(row) or 'g', queueOf(row)) end

-- Does some of what was left. Answers whether there is more.
function L.tend()
  local left = EDGES
  while left > 0 do
    left = left - 1
    local item = call('LPOP', P .. ':ag')
    if not item then
      changed.ag = 0
      return false
    end
    local kind, id = string.sub(item, 1, 1), string.sub(item, 2, 23)
    local row = load(id)
    if kind == 'c' then
      -- Who waited for it may live again by now, and wait for it; one of which nothing was kept is gone.
      local waiter = load(string.sub(item, 24, 45))
      if row and (not waiter or waiter.state == DEAD and waiter.more.deadReason == 'DependencyFailed') then
        L.cancel(row, string.sub(item, 46))
      end
    elseif kind == 'g' then
      local queue, answer = string.match(item, '^([^\31]*)\31(.*)$', 24)
      closeSome(id, answer, queue)
      break
    elseif kind == 'o' then
      if row then left = L.reopen(row, tonumber(string.sub(item, 24)), left) end
    else
      if row and isFinal(row) then L.tellEnd(row, tonumber(string.sub(item, 24))) end
      break
    end
  end
  return true
end

-- Children of the life before are no longer waited for; or, beside some that are named, those that were waited for until an instant:
-- who still waits for one names it again. With those that have ended, whose ids are answered, and that are not named it is done, if it
-- waits for children alone; if one of them runs again and is named after all, it is waited for again.
function L.forgetChildren(row, named, isDone)
  local its, ended = row.more, {}
  if not its or not its.left then return ended end
  if not named then its.left = nil end
  row.isNewMore = true
  local all = call('HGETALL', edgesOf(row))
  for i = 1, #all, 2 do
    local id, policy, name, answer = partsOf(all[i + 1])
    local again = policy == '4' and named and named[id]
    local other = again and load(id)
    if policy >= '3' and named and answer ~= '' and not (again and again.to or other and not isFinal(other)) then
      ended[id] = true
      local after = isDone and (named[id] and '3' or '4') or policy
      if after ~= policy then call('HSET', edgesOf(row), all[i], id .. after .. name .. '\31' .. answer) end
    elseif policy >= '3' then
      call('HDEL', edgesOf(row), all[i])
      if answer == '' then its.pending = its.pending - 1 end
    end
  end
  return ended
end

-- Steps of a life that was completed, or undone, are to run again.
local function forgetSteps(row)
  local key = P .. ':cp:' .. row.id
  if not row.hasCheckpoints or row.state ~= COMPLETED and call('HEXISTS', key, '!undone') == 0 then return end
  call('DEL', key)
  row.hasCheckpoints = false
  more(row).undo = nil
end

-- Whether a final record may live again: no other one has its unique key.
function L.mayBegin(row)
  local unique = row.more and row.more.unique
  local holder = unique and L.holder(kindOf(row.kind).tag, unique.key)
  return not holder or holder == row
end

-- A final record begins a new life, with a fresh budget of attempts. It waits for what of its dependencies has not ended.
function L.begin(row)
  headOf(row)
  L.unfold(row)
  forgetSteps(row)
  L.unshelve(row)
  noteEnds(row.chunk, -1)
  local its = more(row)
  row.attempt, row.hasBegun, row.begun, row.crashes = 0, false, 0, 0
  its.failures, its.failedAttempt, its.deadReason, its.cancel = nil, nil, nil, nil
  L.errorTag(row, nil)
  if row.hasResult then
    call('HDEL', P .. ':r', row.id)
    row.hasResult = false
  end
  if row.hasProgress then
    call('HDEL', P .. ':g', row.id)
    row.hasProgress = false
  end
  -- Its start is asked for by hand: neither its old due instant nor its old expiry holds any more.
  its.due, its.startBefore = row.head.at, nil
  L.hold(row)
  L.listen(row, 'SADD')
  L.forgetChildren(row)
  if (its.pending or 0) > 0 then L.block(row, 'Dependencies') else L.run(row, now) end
end

-- It waits for others, or has not begun to run: what it would find of them may still change. So may what it finds of a child
-- until it has kept that, whatever it does meanwhile.
local function mayWaitAgain(row, policy) return policy == '3' or isFinal(row) or isWaiting(row) end

-- Opens one edge again. Answers the record when that lives again with it.
local function reopenEdge(entry)
  local to, waiter, at = elsewhere(entry)
  if to then return L.post(to, 'again', waiter, at) end
  local row = load(string.sub(entry, 1, 22))
  local number = string.sub(entry, 23)
  local edge = row and call('HGET', edgesOf(row), number)
  if not edge then return end
  local id, policy, name, answer = partsOf(edge)
  if answer == '' or policy == '4' or not mayWaitAgain(row, policy) then return end
  local its = more(row)
  call('HSET', edgesOf(row), number, id .. policy .. name .. '\31')
  its.pending = its.pending + 1
  if breaks(policy, answer) then its.broken = its.broken - 1 end
  -- Who left it behind names it again where it still waits for it.
  if policy == '3' then return end
  if row.state == READY or row.state == SCHEDULED or row.state == BLOCKED and its.blocked == 'ConcurrencyKey' then
    L.freeSlot(row)
    row.fence = row.fence + 1
    L.block(row, 'Dependencies')
  elseif row.state == DEAD and its.deadReason == 'DependencyFailed' and (its.broken or 0) == 0 and L.mayBegin(row) then
    row.fence = row.fence + 1
    L.begin(row)
    return row
  end
end

-- A record runs again: what has not begun to run waits for it once more, and what is dead because of it lives again, unless another
-- one that it needs has failed too; so does what is dead because of that. Of so many edges now, and of the others in the next
-- exchanges: one that has ended by then ends for them after it has lived again. Answers how many edges there was still room for.
function L.reopen(row, from, left)
  local all, at = { row }, 1
  from, left = from or 0, left or EDGES
  while all[at] do
    local of = all[at]
    local many = of.more and of.more.awaited and call('LLEN', awaitedBy(of)) or 0
    local last = math.min(many, from + left)
    for _, entry in ipairs(last > from and call('LRANGE', awaitedBy(of), from, last - 1) or {}) do
      all[#all + 1] = reopenEdge(entry)
      if isFinal(of) then L.closeEdge(entry, answerOf(of)) end
    end
    if many > last then defer('o' .. of.id .. last, queueOf(of)) end
    from, left, at = 0, left - math.max(0, last - from), at + 1
  end
  return left
end

-- Another partition says that who is waited for by this edge runs again.
function L.reopenFor(entry)
  local row = reopenEdge(entry)
  if row then L.reopen(row) end
end

-- The first of some records that are to wait for a new one and wait for nothing.
function L.begunOf(dependents)
  for _, each in ipairs(dependents or {}) do
    local row = load(each.id)
    if not row or not isStrict(row) then return each.id end
  end
end

-- Results by name; those of more than a hundred are asked for.
function L.resultsText(row)
  local its = row.more
  if not its or not its.edges or its.edges > 100 then return '' end
  local results, any = {}, false
  for _, edge in ipairs(call('HVALS', edgesOf(row))) do
    local _, _, name, answer = partsOf(edge)
    if answer ~= '' then
      results[name] = string.sub(answer, 1, 1) == 'c' and string.sub(answer, 2) or false
      any = true
    end
  end
  return any and cjson.encode(results) or ''
end
`

/** ARGV: id, how many were read before, how many. Answers what is waited for, and whether there is more. */
export const dependencies = String.raw`
local row = load(ARGV[1])
local many = row and row.more and row.more.edges or 0
local from, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local last, numbers = math.min(many, from + limit), {}
for i = from + 1, last do numbers[#numbers + 1] = i end
local lines = {}
if #numbers > 0 then
  for _, edge in ipairs(call('HMGET', P .. ':dp:' .. row.id, unpack(numbers))) do
    if edge then lines[#lines + 1] = edge end
  end
end
return { table.concat(lines, '\30'), last < many and last or 0 }
`
