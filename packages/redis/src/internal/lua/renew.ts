/**
 * `renew`: registers a worker and keeps all of its claims by one write; gives back claims whose reply was lost (P14).
 *
 * Cost: one read for all that it holds, and some ten commands for each record that is given back.
 */

/** What a worker holds: its batches of claims, less what has ended. Batches that are mostly over are written anew. */
export const heldBy = String.raw`
function L.heldBy(worker)
  local held, key = {}, P .. ':wl:' .. worker
  local batches = call('HGETALL', key)
  for i = 1, #batches, 2 do
    local batch, ids, still = tonumber(batches[i]), batches[i + 1], {}
    for at = 1, #ids, 22 do
      local row = load(string.sub(ids, at, at + 21))
      if row and row.state == RUNNING and row.tail == worker and row.batch == batch then
        held[#held + 1] = row
        still[#still + 1] = row.id
      end
    end
    if #still * 44 < #ids then
      if #still == 0 then
        call('HDEL', key, batch)
        call('HDEL', P .. ':wn:' .. worker, batch)
      else
        call('HSET', key, batch, table.concat(still))
      end
    end
  end
  return held
end
`

/** What an exchange takes of it too. */
export const unpark = String.raw`
-- Releases parked records that this worker can run, at the place that they had.
function L.unpark(handles)
  local released = 0
  for _, each in ipairs(cjson.decode(handles)) do
    local ids = call('ZRANGEBYSCORE', P .. ':pk:' .. each[1], '-inf', each[2], 'LIMIT', 0, 1000 - released)
    for _, id in ipairs(ids) do
      local row = load(id)
      L.admit(row, false)
      -- Of those who sleep some may not have it.
      woken[queueOf(row)] = true
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
    if row and row.state == RUNNING and row.tail == worker and row.more.cancel then list[#list + 1] = cancelText(row) end
  end
  call('DEL', P .. ':wc:' .. worker)
  call('HDEL', P .. ':wi:' .. worker, 'nc')
  return table.concat(list, '\30')
end
`

/** ARGV: worker, lease, queues, what it handles, what it holds, how old claims are that are given back, and what it says of itself. */
export const renew = String.raw`
local about = P .. ':wi:' .. worker
local leaseUntil = now + lease
call('ZADD', P .. ':ws', leaseUntil, worker)
call('HSET', about, 'q', ARGV[3])
if ARGV[4] ~= '[]' then call('HSET', about, 'h', ARGV[4]) else call('HDEL', about, 'h') end
if (ARGV[7] or '') ~= '' then call('HSET', about, 'ab', ARGV[7]) else call('HDEL', about, 'ab') end

local lost, known = {}, {}
for id, fence in string.gmatch(ARGV[5], '(......................)(%d+)\30') do
  local row = load(id)
  if row and row.state == RUNNING and row.tail == worker and row.fence == tonumber(fence) then known[id] = true
  else lost[#lost + 1] = id .. fence end
end

local reconciled, before = 0, ARGV[6] ~= '' and now - tonumber(ARGV[6]) or -1
for _, row in ipairs(L.heldBy(worker)) do
  if not known[row.id] and row.at <= before then
    L.endAttempt(row, 'released', now)
    local reason = row.more and row.more.cancel
    if reason and not L.mustUndo(row, 'Cancel', reason) then L.finish(row, CANCELLED, reason) else L.release(row) end
    reconciled = reconciled + 1
  end
end

local unparked = parked > 0 and L.unpark(ARGV[4]) or 0
-- All of them, each time: a reply that told one may have been lost.
local cancel, held = {}, L.heldBy(worker)
for _, row in ipairs(held) do
  if row.more and row.more.cancel then cancel[#cancel + 1] = cancelText(row) end
end
call('DEL', P .. ':wc:' .. worker)
call('HDEL', about, 'nc')
if #held > 0 then
  foresee(leaseUntil)
elseif lease == 0 then
  -- A worker that leaves renews with no lease and holds nothing. Nobody is to call it any more.
  for _, queue in ipairs(cjson.decode(ARGV[3])) do call('SREM', P .. ':z:' .. queue, worker) end
  call('ZREM', P .. ':ws', worker)
  call('DEL', about, P .. ':wl:' .. worker, P .. ':wn:' .. worker)
end
flush()
close()
return table.concat({
  string.format('%.0f', now), table.concat(lost, '\30'), table.concat(cancel, '\30'), reconciled, unparked, maintainIn()
}, '\31')
`
