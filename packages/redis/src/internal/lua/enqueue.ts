/**
 * `enqueue`: a batch, all or none.
 *
 * Plain records of one kind come as one group and share a head; whether any is there is one read, storing them two writes
 * and a push. Cost: 12 commands a call and 0.6 us a record on two cores; others some ten commands each.
 */
/** ARGV: JSON of specials or '', then for each group its head and its records. */
export const plain = String.raw`
if ARGV[1] == '' then
  local fields, groups = { 'oc', 'lu' }, {}
  for g = 2, #ARGV, 2 do
    local kind, delay, runAt = string.match(ARGV[g], '^(.*)\30(%d+)\30(-?%d*)$')
    local queue, priority = string.match(kind, '^[^\31]*\31([^\31]*)\31[^\31]*\31([^\31]*)')
    groups[g] = { kind = kind, queue = queue, priority = priority, due = runAt ~= '' and tonumber(runAt) or now + delay }
    fields[g + 1], fields[g + 2] = 'k' .. kind, 'z' .. queue
  end
  -- Field 3 and 4 are of the group 2, 5 and 6 of the group 4.
  local read = call('HMGET', P, unpack(fields))
  local stamp = string.format('%.0f', now)
  local existing, at, heard = {}, 0, read[2] and tonumber(read[2]) > now and {} or nil
  local chunk = tonumber(read[1] or '0')

  local function put(group, number, ids, rests)
    local many, key = #ids, P .. ':c'
    local head = number .. '\31' .. chunk .. '\31' .. stamp .. '\29'
    if many == 1 then
      at = at + 1
      if call('HSETNX', key, ids[1], head .. rests[1]) == 0 then
        existing[#existing + 1] = at
        return
      end
    else
      local found, values = call('HMGET', key, unpack(ids)), {}
      local fresh = {}
      for i = 1, many do
        if found[i] then existing[#existing + 1] = at + i
        else
          local n = #fresh + 1
          fresh[n] = ids[i]
          values[2 * n - 1] = ids[i]
          values[2 * n] = head .. rests[i]
        end
      end
      at = at + many
      ids, many = fresh, #fresh
      if many == 0 then return end
      -- One that a batch has twice is counted once.
      many = call('HSET', key, unpack(values))
    end
    if log(chunk, table.concat(ids)) >= 22528 then chunk = chunk + 1 end
    if group.due > now then
      local hot = struct.pack('<BI2bBI4I4i4I4I4dddd', 3, 0, tonumber(group.priority), 0, 0, 0, 0, number, chunk, 0,
        group.due, -1, now)
      local hots, dues = {}, {}
      for i = 1, #ids do
        hots[2 * i - 1], hots[2 * i] = ids[i], hot
        dues[2 * i - 1], dues[2 * i] = group.due, ids[i]
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
    if heard then
      local tag = string.match(group.kind, '^[^\31]*')
      for _, id in ipairs(ids) do
        heard[#heard + 1] = 'enqueued\31' .. id .. '\31' .. tag .. '\31' .. group.queue .. '\31' .. stamp .. '\0310\31'
      end
    end
  end

  for g = 2, #ARGV, 2 do
    local group, number = groups[g], read[g + 1]
    number = number and tonumber(number) or intern(group.kind)
    local ids, rests, n = {}, {}, 0
    for line in string.gmatch(ARGV[g + 1], '[^\30]+') do
      n = n + 1
      ids[n] = string.sub(line, 1, 22)
      rests[n] = string.sub(line, 23)
      -- What the stack of a call of a command holds.
      if n == 1000 then
        put(group, number, ids, rests)
        ids, rests, n = {}, {}, 0
      end
    end
    if n > 0 then put(group, number, ids, rests) end
    if read[g + 2] and call('HDEL', P, 'z' .. group.queue) == 1 then call('PUBLISH', P .. ':w', 'w' .. group.queue) end
  end
  if heard and #heard > 0 then call('PUBLISH', P .. ':e', table.concat(heard, '\30')) end
  return table.concat(existing, ',')
end
`

/** ARGV[2]: the attempt on whose behalf it is made, id and fence. */
export const special = String.raw`
local by = ARGV[2]
if by ~= '' then
  local row = load(string.sub(by, 1, 22))
  if not row or row.state ~= RUNNING or row.fence ~= tonumber(string.sub(by, 23)) then return 'LeaseLost' end
end
local specs = cjson.decode(ARGV[1])
local answers = {}
local conflicts = #specs > 1 and conflictsOf(specs)
if conflicts then
  for i, spec in ipairs(specs) do
    answers[i] = conflicts[i] and 'UniqueConflict,' .. conflicts[i] or 'Refused,' .. spec.id
  end
  return table.concat(answers, ';')
end
for i, spec in ipairs(specs) do
  local outcome, id = enqueueOne(spec)
  answers[i] = outcome .. ',' .. id
end
flush()
close()
return table.concat(answers, ';')
`
