/**
 * `enqueue`: a batch, all or none.
 *
 * Plain records of one kind come as one group and share a head; whether any is there is one read, storing them two writes
 * and a push. Cost: 12 commands a call and 0.6 us a record on two cores; others some ten commands each.
 */
/** ARGV: JSON of specials or '', then for each group its head and its records. */
export const plain = String.raw`
if ARGV[1] == '' then
  local place = nextPlace()
  local stamp = string.format('%.0f', now)
  local existing, at = {}, 0
  for g = 2, #ARGV, 2 do
    local text, priority, version, delay, runAt = string.match(ARGV[g], '^(.*)\30(-?%d+)\30(-?%d+)\30(%d+)\30(-?%d*)$')
    local names, rests = {}, {}
    for line in string.gmatch(ARGV[g + 1], '[^\30]+') do
      names[#names + 1] = string.sub(line, 1, 22)
      rests[#rests + 1] = string.sub(line, 23)
    end
    local found = call('HMGET', C, unpack(names))
    local isNew = {}
    for i = 1, #names do
      at = at + 1
      if found[i] then existing[#existing + 1] = at else isNew[#isNew + 1] = i end
    end
    local many = #isNew
    if many > 0 then
      local number = intern(text)
      local queue = string.match(text, '^[^\31]*\31([^\31]*)')
      local fresh = names
      if many < #names then
        fresh = {}
        for i = 1, many do fresh[i] = names[isNew[i]] end
      end
      local chunk = log(table.concat(fresh), many)
      local head = number .. '\31' .. chunk .. '\31' .. place .. '\31' .. stamp .. '\31' .. priority .. '\31' .. version .. '\29'
      local values = {}
      for i = 1, many do
        values[2 * i - 1] = fresh[i]
        values[2 * i] = head .. rests[isNew[i]]
      end
      -- One that a batch has twice is counted once.
      local added = call('HSET', C, unpack(values))
      local due = runAt ~= '' and tonumber(runAt) or now + delay
      if due > now then
        local hot = struct.pack(LAYOUT, SCHEDULED, 0, tonumber(priority), 0, 0, 0, 0, number, chunk, 0, due, -1, now)
        local dues = {}
        for i = 1, many do
          values[2 * i] = hot
          dues[2 * i - 1] = due
          dues[2 * i] = fresh[i]
        end
        call('HSET', H, unpack(values))
        call('ZADD', P .. ':d:' .. queue, unpack(dues))
        count(queue, SCHEDULED, added)
      else
        for i = 1, many do values[i] = fresh[i] .. place end
        if call('RPUSH', P .. ':l:' .. queue .. ':' .. priority, unpack(values, 1, many)) == many then
          openLane(queue, tonumber(priority))
        end
        count(queue, READY, added)
      end
      woken[queue] = true
      if isHeard then
        local kind = kindOf(number)
        for i = 1, many do tell('enqueued', fresh[i], kind, 0) end
      end
    end
  end
  close()
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
