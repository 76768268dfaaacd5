/**
 * `exchange`: settle a batch, let what is due become ready, claim.
 *
 * Completions of records without anything of their own are read and written together, and what all records of a state share
 * is made once. Cost: some 20 commands a call, and 1.5 us a completion, 1 us a claim on two cores; anything else some ten
 * commands a record.
 *
 * A key of one job that nobody waits for adds 13,000 instructions of the server to 38,000 (callgrind; it was 48,000): 5,000 for its
 * slots, 5,000 for the key beside the head, 3,000 for a head where a plain record has none yet.
 */

/** ARGV: worker, lease, total, completions, JSON of other settlements, demand; of several partitions what follows. */
export const begin = (elsewhere: string): string =>
  String.raw`
local worker, lease = ARGV[1], tonumber(ARGV[2])
local stamp = string.format('%.0f', now)
local about = call('HMGET', P .. ':wi:' .. worker, 'su', 'nc', 'h')
${elsewhere}
local settlements = ARGV[5] ~= '' and cjson.decode(ARGV[5])
local children = {}
for _, settlement in ipairs(settlements or {}) do
  for _, child in ipairs(settlement.children or {}) do children[#children + 1] = child end
end
seeRoomFor(children, meta[4])
`

export const completions = String.raw`
local lost = {}

-- A completion that is not the usual one.
local function settleOther(i, id, fence, after, trace, result)
  local answer = general().settle({
    id = id, fence = tonumber(fence), outcome = 'Complete', after = tonumber(after), trace = trace, result = result
  })
  if answer ~= 'Done' then lost[#lost + 1] = i end
end

local function asksToEnd(flags) return flags % 2 == 1 end

-- Completions with one fence and one duration: some are the usual ones of one batch of claims.
local made = {}
-- Keys whose slots are free again, each once: those of one job and shared ones; and how many of each.
local freed, shared, many = {}, {}, {}
local function complete(ids, at, fence, after, traces, results)
  local hots = call('HMGET', H, unpack(ids))
  local mores = moresOf(ids, hots, asksToEnd)
  local values, n, kept, k, ended, seen = {}, 0, {}, 0, {}, {}
  for i = 1, #ids do
    local id, hot = ids[i], hots[i]
    local of = hot and made[hot]
    if hot and of == nil then
      local state, flags, priority, crashes, its, settled, attempt, kind, chunk, batch, place, startedAt =
        struct.unpack(LAYOUT, hot)
      of = false
      local isBare = flags >= KEYED
      flags = flags % KEYED
      if state == RUNNING and crashes == 0 and string.sub(hot, HEAD + 1) == worker then
        local isKeyed = flags % 2 == 1
        local isAdmitted = math.floor(flags / ADMITTED) % 2 == 1
        of = {
          isKeyed = isKeyed, isBare = isBare, isAdmitted = isAdmitted, fence = string.format('%d', its), kind = kind,
            chunk = chunk, attempt = attempt, at = startedAt, batch = batch, packed = {},
          pack = function(endedAt, flag)
            return struct.pack(LAYOUT, COMPLETED, flags - flags % (2 * ADMITTED) + (isKeyed and MORE or 0) + RAN + BEGUN + flag, priority, 0, its + 1, its,
              attempt, kind, chunk, 0, place, now, startedAt, endedAt) .. worker
          end
        }
      end
      made[hot] = of
    end
    local more = of and of.isKeyed and mores[i]
    local key = more and (of.isBare and sub(more, 33) or not of.isBare and keyIn(more, true))
    if seen[id] then
      -- Sent twice: the first one decided.
    elseif not of or of.fence ~= fence or of.isKeyed and not key then
      settleOther(at + i, id, fence, after, traces and traces[i], results and results[i])
    else
      seen[id] = true
      if key and of.isAdmitted then
        local before = many[key]
        if before then many[key] = before + 1
        else
          local of = not of.isBare and byte(key) == 64 and shared or freed
          of[#of + 1], many[key] = key, 1
        end
      end
      local result, trace = results and results[i], traces and traces[i]
      local variant = result and after .. 'r' or after
      local value = of.packed[variant]
      if not value then
        value = of.pack(math.min(now, of.at + tonumber(after)), result and RESULT or 0)
        of.packed[variant] = value
      end
      values[n + 1], values[n + 2] = id, trace and value .. '\31' .. trace or value
      n = n + 2
      if result then
        kept[k + 1], kept[k + 2] = id, result
        k = k + 2
      end
      local list = ended[of]
      if not list then list = { n = 0 } ended[of] = list end
      list.n = list.n + 1
      list[list.n] = id
      if isHeard then tell('completed', id, kindOf(of.kind), of.attempt) end
    end
  end
  if n == 0 then return end
  call('HSET', H, unpack(values))
  if k > 0 then call('HSET', P .. ':r', unpack(kept)) end
  for of, list in pairs(ended) do
    local kind = kindOf(of.kind)
    letGo(worker, of.batch, list.n)
    shelve(kind, COMPLETED, table.concat(list), list.n)
    count(kind.queue, RUNNING, -list.n)
    count(kind.queue, COMPLETED, list.n)
    noteEnds(of.chunk, list.n)
  end
end

-- Groups: fence and duration, then ids; or one id with its trace and result.
local settledSoFar = 0
for group in string.gmatch(ARGV[4], '[^\30]+') do
  local fence, after, rest = string.match(group, '^(%d+)\31(%d+)\31(.*)$')
  local ids, traces, results = {}, nil, nil
  if string.find(rest, '\31', 23, true) == 23 then
    local trace, result = string.match(rest, '^\31([^\31]*)(.*)$', 23)
    ids[1] = string.sub(rest, 1, 22)
    traces = { trace ~= '' and trace or nil }
    results = { result ~= '' and string.sub(result, 2) or nil }
  else
    for i = 1, #rest / 22 do ids[i] = string.sub(rest, 22 * i - 21, 22 * i) end
  end
  complete(ids, settledSoFar, fence, after, traces, results)
  settledSoFar = settledSoFar + #ids
end
if next(many) then general().freeSlots(freed, shared, many) end
`

export const rest = String.raw`
local others = {}
if settlements then
  for i, s in ipairs(settlements) do
    others[i] = general().settle(s) == 'Done' and 'D' or 'L'
  end
end
if keysAt <= now then general().tendKeys() end
if parked > 0 and about[3] then general().unpark(about[3]) end
local isLeft = (meta[6] == '1' or changed.ag == 1) and general().tend()

-- One that it held may have been settled by this very exchange: the next one is taken now, and not at the next look.
if suspects > 0 then
  suspects = tonumber(call('HGET', P .. ':wi:' .. worker, 'su') or '0') + (about.elsewhere or 0)
end

local nextDue = math.huge
local more = {}
if ARGV[6] ~= '' then
  local left, made = tonumber(ARGV[3]), {}
  flushAll()
  for _, each in ipairs(demand) do
    local queue = queueState(each.name)
    if not queue.isPaused then promote(queue) end
  end
  flushAll()
  -- What has become ready until here it may claim itself.
  for _, each in ipairs(demand) do
    local many = woken[each.name]
    if many ~= true then made[each.name], woken[each.name] = many, nil end
  end
  for _, each in ipairs(demand) do
    claimFrom(queueState(each.name), math.min(each.share, each.slots, left - claims / 2))
  end
  if claims / 2 < left then
    for _, each in ipairs(demand) do
      local queue = queueState(each.name)
      claimFrom(queue, math.min(each.slots - queue.given, left - claims / 2))
    end
  end
  for i, each in ipairs(demand) do
    local queue, flag = queueState(each.name), meta[6 + i]
    -- Of what it claimed nobody else is told.
    if made[each.name] and (queue.isPaused or hasMore(queue)) then noteReady(each.name, made[each.name]) end
    if not queue.isPaused then
      local hasRoom = each.slots > queue.given and claims / 2 < left
      if queue.nextDue and queue.nextDue < nextDue then nextDue = queue.nextDue end
      if queue.isLimited and roomIn(queue) < math.huge then noteStarts(queue) end
      if hasMore(queue) and roomIn(queue) <= 0 then nextDue = math.min(nextDue, queue.opens)
      elseif hasMore(queue) then
        more[#more + 1] = each.name
        -- Who was called was called by another queue, too, or had less room than that: it passes the call on.
        if flag == '2' and not hasRoom and each.slots > 0 then noteReady(each.name, 1) end
      -- Nothing is left for it: it may sleep, and is woken by the next records of this queue.
      else
        rest(each.name, flag, hasRoom)
        flag = nil
      end
      if flag == '2' then call('SREM', P .. ':z:' .. each.name, worker) end
    end
  end
end
if holds > 0 then
  call('HSET', P .. ':wl:' .. worker, batch, table.concat(held))
  call('HSET', P .. ':wn:' .. worker, batch, holds)
  call('ZADD', P .. ':ws', 'GT', now + lease, worker)
  foresee(now + lease)
end
if keysAt < nextDue then nextDue = keysAt end
local cancel = about[2] and general().takeCancels() or ''
flushAll()
close()
local texts = {}
for number in pairs(used) do texts[#texts + 1] = number .. '\29' .. kindOf(number).text end
return {
  table.concat({
    stamp, isLeft and '0' or nextDue < math.huge and string.format('%.0f', math.max(0, nextDue - now)) or '', maintainIn(),
    table.concat(lost, ','), table.concat(others), table.concat(more, '\30'), cancel
  }, '\31'),
  table.concat(texts, '\30'),
  claimed
}
`
