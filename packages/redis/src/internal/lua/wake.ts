/**
 * Whom a record wakes that becomes ready: as many sleepers as there is work for, by name, and at least three of them, so that
 * one which has just died or filled up does not leave it to a poll.
 *
 * `z<queue>` in `{p}` says that somebody sleeps, `:z:<queue>` has the names of those who found less than they had room for. The
 * set counts only while the field is '2', and is emptied when the field is set: the release before deletes the field alone. It
 * sets it to '1', which says that one of its workers sleeps, too, who has no name here.
 *
 * A hint, as all wake-ups are: where all who were named have died within their lease, or cannot hear, the record waits for the
 * next poll of any worker of the queue. To wake everybody took as many exchanges a record as workers slept, all but one for nothing.
 */

/**
 * `many`: how many records, or false where nobody knows who can take them: all are told. The same where fewer sleep than are to
 * be called, where one of them is dead, which forgets the others that are, and where so many are called that the names are no
 * less. Cost: three commands and a message.
 */
export const summon = String.raw`
local function summon(queue, many, flag)
  if flag == '2' and many and many <= 100 then
    local enough = math.max(3, many)
    local names = call('SPOP', P .. ':z:' .. queue, enough)
    if #names == enough then
      local areAlive = true
      for _, leaseUntil in ipairs(call('ZMSCORE', P .. ':ws', unpack(names))) do
        if leaseUntil and tonumber(leaseUntil) <= now then areAlive = false end
      end
      if areAlive then return call('PUBLISH', S .. ':w', 'n' .. table.concat(names, '\31')) end
    end
  end
  if call('HDEL', P, 'z' .. queue) == 1 then call('PUBLISH', S .. ':w', 'w' .. queue) end
end
`

/** What an exchange may find more of, and what it reads of who sleeps beside those queues. */
export const demanded = String.raw`
local demand, beside = {}, {}
for name, slots, share in string.gmatch(ARGV[6], '([^\30\31]+)\31(%d+)\31(%d+)') do
  demand[#demand + 1] = { name = name, slots = tonumber(slots), share = tonumber(share) }
  beside[#beside + 1] = 'z' .. name
end
`

/**
 * Notes whether this worker sleeps beside a queue. With room it has a name. Without, or where it was asked for none of one
 * partition and may be filled by another, it is only told with all others. `flag` is what was read of the queue before.
 */
export const rests = String.raw`
local function rest(name, flag, hasRoom)
  local sleepers = P .. ':z:' .. name
  if not flag then
    call('HSET', P, 'z' .. name, 2)
    call('DEL', sleepers)
  end
  if flag == '1' then return end
  if hasRoom then call('SADD', sleepers, worker) elseif flag then call('SREM', sleepers, worker) end
end
`

/** ARGV: worker, queues. It has been filled by other partitions. */
export const awake = String.raw`
for i = 2, #ARGV do call('SREM', P .. ':z:' .. ARGV[i], ARGV[1]) end
return 1
`
