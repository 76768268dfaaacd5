/**
 * `renew`: registers a worker and keeps all of its claims by one write; gives back claims whose reply was lost (P14).
 *
 * Cost: one read for all that it holds, and some ten commands for each record that is given back.
 */

/** What an exchange takes of it too. */
export const unpark = String.raw`
-- Releases parked records that this worker can run, at the place that they had.
function L.unpark(handles)
  local released = 0
  for _, each in ipairs(cjson.decode(handles)) do
    local ids = call('ZRANGEBYSCORE', P .. ':pk:' .. each[1], '-inf', each[2], 'LIMIT', 0, 1000 - released)
    for _, id in ipairs(ids) do
      L.admit(load(id), false)
      released = released + 1
    end
    if released == 1000 then break end
  end
  return released
end

local function cancelText(row) return row.id .. string.format('%d', row.fence) .. '\29' .. row.more.cancel end

-- The cancel requests that a worker has not been told yet.
function L.takeCancels()
  local list = {}
  for _, id in ipairs(call('LRANGE', P .. ':wc:' .. worker, 0, -1)) do
    local row = load(id)
    if row and row.state == RUNNING and row.tail == worker then list[#list + 1] = cancelText(row) end
  end
  call('DEL', P .. ':wc:' .. worker)
  call('HDEL', P .. ':wi:' .. worker, 'nc')
  return table.concat(list, '\30')
end
`

/** ARGV: worker, lease, queues, what it handles, what it holds, and how old claims are that are given back. */
export const renew = String.raw`
local heldKey, about = P .. ':wh:' .. worker, P .. ':wi:' .. worker
local leaseUntil = now + lease
call('ZADD', P .. ':ws', leaseUntil, worker)
call('HSET', about, 'q', ARGV[3])
if ARGV[4] ~= '[]' then call('HSET', about, 'h', ARGV[4]) else call('HDEL', about, 'h') end

local lost, known = {}, {}
for id, fence in string.gmatch(ARGV[5], '(......................)(%d+)\30') do
  local row = load(id)
  if row and row.state == RUNNING and row.tail == worker and row.fence == tonumber(fence) then known[id] = true
  else lost[#lost + 1] = id .. fence end
end

local reconciled, before = 0, ARGV[6] ~= '' and now - tonumber(ARGV[6]) or -1
for _, id in ipairs(call('SMEMBERS', heldKey)) do
  local row = load(id)
  if not (row and row.state == RUNNING and row.tail == worker) then
    call('SREM', heldKey, id)
  elseif not known[id] and row.at <= before then
    L.endAttempt(row, 'released', now)
    local reason = row.more and row.more.cancel
    if reason then L.finish(row, CANCELLED, reason) else L.release(row) end
    reconciled = reconciled + 1
  end
end

local unparked = parked > 0 and L.unpark(ARGV[4]) or 0
-- All of them, each time: a reply that told one may have been lost.
local cancel, held = {}, call('SMEMBERS', heldKey)
for _, id in ipairs(held) do
  local row = load(id)
  if row.more and row.more.cancel then cancel[#cancel + 1] = cancelText(row) end
end
call('DEL', P .. ':wc:' .. worker)
call('HDEL', about, 'nc')
if #held > 0 then
  foresee(leaseUntil)
elseif lease == 0 then
  -- A worker that leaves renews with no lease and holds nothing.
  call('ZREM', P .. ':ws', worker)
  call('DEL', about)
end
flush()
close()
return table.concat({
  string.format('%.0f', now), table.concat(lost, '\30'), table.concat(cancel, '\30'), reconciled, unparked, maintainIn()
}, '\31')
`
