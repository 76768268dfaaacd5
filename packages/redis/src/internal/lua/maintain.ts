/**
 * `maintain`: rescue from dead workers, expiry, retention. Bounded, safe to race. Cost: some ten commands for each record
 * that is rescued or expires, five for each that is swept, at most a thousand of each a call, and the rest of a worker; three
 * for an entry of a shelf whose record has left, at most five thousand.
 */

/** ARGV: how many crashes a record is allowed. */
export const maintain = (again: string): string =>
  String.raw`
local maxCrashes, chunk = tonumber(ARGV[1]), 1000
local rescued, quarantined, expired, swept = 0, 0, 0, 0
local crash = '"kind":"Crashed","message":"its worker\'s lease ended"}'

local function rescue(row, isCharged)
  local reason = row.more and row.more.cancel
  L.endAttempt(row, 'crashed', now, isCharged and failureText(row, crash, now) or nil)
  if isCharged then
    L.errorTag(row, nil)
    if not reason then row.crashes = row.crashes + 1 end
  end
  if reason and not L.mustUndo(row, 'Cancel', reason) then
    L.finish(row, CANCELLED, reason)
    rescued = rescued + 1
  elseif row.crashes >= maxCrashes and (L.isEnding(row) or not L.mustUndo(row, 'Dead', 'Crashed')) then
    more(row).deadReason = 'Crashed'
    L.finish(row, DEAD, 'Crashed')
    L.follow(row)
    quarantined = quarantined + 1
  else
    L.admit(row, false)
    rescued = rescued + 1
  end
end

-- A worker that holds nothing is forgotten a day after its lease ended.
local forgetAfter = 86400000
local ended = call('ZRANGEBYSCORE', P .. ':ws', '-inf', now, 'WITHSCORES')
for i = 1, #ended, 2 do
  -- A worker's records are looked at together: which of them may have crashed it. The other workers' are for the next call.
  if rescued + quarantined >= chunk then break end
  local worker = ended[i]
  local held = L.heldBy(worker)
  if #held == 0 then
    if tonumber(ended[i + 1]) + forgetAfter <= now then
      call('ZREM', P .. ':ws', worker)
      call('DEL', P .. ':wi:' .. worker, P .. ':wc:' .. worker, P .. ':wl:' .. worker, P .. ':wn:' .. worker)
    end
  else
    -- When it dies with a record that had crashed before, that one is to blame; else all of them may be (P10).
    local suspect = call('HEXISTS', P .. ':wi:' .. worker, 'sx') == 1
    for _, row in ipairs(held) do if row.crashes > 0 then suspect = row end end
    for _, row in ipairs(held) do rescue(row, not suspect or row == suspect) end
    call('HDEL', P .. ':wi:' .. worker, 'sx')
    if isHeard then for _, row in ipairs(held) do tell('retried', row.id, kindOf(row.kind), row.attempt, 'Crashed') end end
  end
end

for _, id in ipairs(call('ZRANGEBYSCORE', P .. ':x', '-inf', now, 'LIMIT', 0, chunk)) do
  local row = load(id)
  local at = row and isWaiting(row) and L.expiresAt(row)
  if at and at <= now then
    L.expire(row)
    expired = expired + 1
  else
    call('ZREM', P .. ':x', id)
  end
end
flush()

-- Entries of shelves whose records have left: they run again, or were deleted by hand.
local passed = 0
local function isSpent() return swept >= chunk or passed >= 5 * chunk end

local function sweep(shelf)
  local letter, age, limit = string.match(shelf, ':f:(%a):.*\31([^,]*),([^,]*)$')
  age, limit = tonumber(age) or math.huge, tonumber(limit) or math.huge
  local state = letter == 'c' and COMPLETED or letter == 'x' and CANCELLED or DEAD
  local size = limit < math.huge and tonumber(call('HGET', P .. ':fs', shelf) or '0') or 0
  while not isSpent() do
    local entry = call('LINDEX', shelf, 0)
    if not entry then
      call('ZREM', P .. ':sw', shelf)
      return
    end
    local at = tonumber(string.sub(entry, 1, 13))
    for cut = 14, #entry, 22 do
      local row = not isSpent() and load(string.sub(entry, cut, cut + 21))
      local isHere = row and row.state == state and row.at == at
      local isKept = isHere and size <= limit and at + age > now
      if isKept or isSpent() then
        if cut > 14 then call('LSET', shelf, 0, string.sub(entry, 1, 13) .. string.sub(entry, cut)) end
        if not isKept then return end
        if age < math.huge then call('ZADD', P .. ':sw', at + age, shelf) else call('ZREM', P .. ':sw', shelf) end
        return
      end
      if isHere then
        L.remove(row, 'r')
        swept = swept + 1
        size = size - 1
      else
        passed = passed + 1
      end
    end
    call('LPOP', shelf)
    flush()
  end
end
for _, shelf in ipairs(call('ZRANGEBYSCORE', P .. ':sw', '-inf', now)) do
  if not isSpent() then sweep(shelf) end
end
flush()

local isLeft = (meta[6] == '1' or changed.ag == 1) and L.tend()
flush()

-- When there is more to do.
maintainAt = isLeft and now or math.huge
local first = call('ZRANGE', P .. ':sa', 0, 0, 'WITHSCORES')
if first[2] then maintainAt = math.min(maintainAt, tonumber(first[2])) end
first = call('ZRANGE', P .. ':x', 0, 0, 'WITHSCORES')
if first[2] then maintainAt = math.min(maintainAt, tonumber(first[2])) end
first = call('ZRANGE', P .. ':sw', 0, 0, 'WITHSCORES')
if first[2] then maintainAt = math.min(maintainAt, tonumber(first[2])) end
local workers = call('ZRANGE', P .. ':ws', 0, -1, 'WITHSCORES')
for i = 1, #workers, 2 do
  if tonumber(workers[i + 1]) >= maintainAt then break end
  if call('EXISTS', P .. ':wl:' .. workers[i]) == 1 then
    maintainAt = tonumber(workers[i + 1])
    break
  end
end
${again}
changed.mt = maintainAt < math.huge and string.format('%.0f', maintainAt) or ''
close()
local figures = table.concat({ rescued, quarantined, expired, swept, maintainIn() }, ',')
return { figures, string.format('%.0f', now), given }
`
