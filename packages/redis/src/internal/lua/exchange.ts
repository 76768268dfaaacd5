/**
 * `exchange`: settle a batch, let what is due become ready, claim.
 *
 * Completions of records without anything of their own are read and written together, and what all records of a state share
 * is made once. Cost: some 20 commands a call, and 1.5 us a completion, 1 us a claim on two cores; anything else some ten
 * commands a record.
 */

/** ARGV: worker, lease, total, completions, JSON of other settlements, demand. */
export const begin = String.raw`
local worker, lease = ARGV[1], tonumber(ARGV[2])
local stamp = string.format('%.0f', now)
local about = call('HMGET', P .. ':wi:' .. worker, 'su', 'nc', 'h')
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

if ARGV[4] ~= '' then
  local ids, fences, afters, traces, results = {}, {}, {}, {}, {}
  for line in string.gmatch(ARGV[4], '[^\30]+') do
    local i = #ids + 1
    ids[i] = string.sub(line, 1, 22)
    local fence, after, rest = string.match(line, '^(%d+)\31(%d+)(.*)$', 23)
    fences[i], afters[i] = fence, after
    if rest ~= '' then
      local trace, result = string.match(rest, '^\31([^\31]*)(.*)$')
      traces[i] = trace ~= '' and trace or nil
      results[i] = result ~= '' and string.sub(result, 2) or nil
    end
  end
  local hots = call('HMGET', H, unpack(ids))
  local made, values, done, ended, kept, seen = {}, {}, {}, {}, {}, {}
  for i = 1, #ids do
    local id, hot = ids[i], hots[i]
    local of = hot and made[hot]
    if hot and of == nil then
      local state, flags, priority, crashes, fence, settled, attempt, kind, chunk, place, at =
        struct.unpack(LAYOUT, hot)
      of = false
      if state == RUNNING and flags % 2 == 0 and crashes == 0 and string.sub(hot, HEAD + 1) == worker then
        of = {
          fence = string.format('%d', fence), kind = kind, attempt = attempt, at = at,
          pack = function(endedAt, flag)
            return struct.pack(LAYOUT, COMPLETED, flags - flags % 8 + RAN + BEGUN + flag, priority, 0, fence + 1, fence,
              attempt, kind, chunk, place, now, at, endedAt) .. worker
          end,
          packed = {}
        }
      end
      made[hot] = of
    end
    if seen[id] then
      -- Sent twice: the first one decided.
    elseif not of or of.fence ~= fences[i] then
      settleOther(i, id, fences[i], afters[i], traces[i], results[i])
    else
      local after, result = afters[i], results[i]
      local key = result and after .. 'r' or after
      local value = of.packed[key]
      if not value then
        value = of.pack(math.min(now, of.at + tonumber(after)), result and RESULT or 0)
        of.packed[key] = value
      end
      local n = #done + 1
      seen[id] = true
      done[n] = id
      values[2 * n - 1] = id
      values[2 * n] = traces[i] and value .. '\31' .. traces[i] or value
      if result then
        kept[#kept + 1] = id
        kept[#kept + 1] = result
      end
      local list = ended[of.kind]
      if not list then list = {} ended[of.kind] = list end
      list[#list + 1] = id .. stamp
      if isHeard then tell('completed', id, kindOf(of.kind), of.attempt) end
    end
  end
  if #done > 0 then
    call('HSET', H, unpack(values))
    call('SREM', P .. ':wh:' .. worker, unpack(done))
    if #kept > 0 then call('HSET', P .. ':r', unpack(kept)) end
    for number, list in pairs(ended) do
      local kind = kindOf(number)
      shelve(kind, COMPLETED, list)
      count(kind.queue, RUNNING, -#list)
      count(kind.queue, COMPLETED, #list)
    end
  end
end
`

export const rest = String.raw`
local others = {}
if ARGV[5] ~= '' then
  for i, s in ipairs(cjson.decode(ARGV[5])) do
    others[i] = general().settle(s) == 'Done' and 'D' or 'L'
  end
end
if parked > 0 and about[3] then general().unpark(about[3]) end

local nextDue = math.huge
local more = {}
if ARGV[6] ~= '' then
  local demand, left = {}, tonumber(ARGV[3])
  for name, slots, share in string.gmatch(ARGV[6], '([^\30\31]+)\31(%d+)\31(%d+)') do
    demand[#demand + 1] = { name = name, slots = tonumber(slots), share = tonumber(share) }
  end
  flushAll()
  for _, each in ipairs(demand) do
    local queue = queueState(each.name)
    if not queue.isPaused then promote(queue) end
  end
  flushAll()
  for _, each in ipairs(demand) do
    claimFrom(queueState(each.name), math.min(each.share, each.slots, left - #claimed / 2))
  end
  if #claimed / 2 < left then
    for _, each in ipairs(demand) do
      local queue = queueState(each.name)
      claimFrom(queue, math.min(each.slots - queue.given, left - #claimed / 2))
    end
  end
  for _, each in ipairs(demand) do
    local queue = queueState(each.name)
    if not queue.isPaused then
      if queue.nextDue and queue.nextDue < nextDue then nextDue = queue.nextDue end
      if hasMore(queue) then more[#more + 1] = each.name
      -- Nothing is left for it: it may sleep, and is woken by the next record of this queue.
      else call('HSET', P, 'z' .. each.name, 1) end
    end
  end
end
if #claimed > 0 then
  call('ZADD', P .. ':ws', 'GT', now + lease, worker)
  foresee(now + lease)
end
local cancel = about[2] and general().takeCancels() or ''
flushAll()
close()
local texts = {}
for number in pairs(used) do texts[#texts + 1] = number .. '\29' .. kindOf(number).text end
return {
  table.concat({
    stamp, nextDue < math.huge and string.format('%.0f', math.max(0, nextDue - now)) or '', maintainIn(),
    table.concat(lost, ','), table.concat(others), table.concat(more, '\30'), cancel
  }, '\31'),
  table.concat(texts, '\30'),
  claimed
}
`
