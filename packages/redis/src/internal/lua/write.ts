/** `write` and `signal`. Cost: a read of the record's head and one or two commands an entry. */

/** Progress, logs and steps of running attempts, each refused by a stale fence (P3). ARGV: JSON of the entries. */
export const write = String.raw`
local answers = {}
for i, entry in ipairs(cjson.decode(ARGV[1])) do
  local row = load(entry.id)
  if not row or row.state ~= RUNNING or row.fence ~= entry.fence then
    answers[i] = 'L'
  else
    answers[i] = 'D'
    if entry.kind == 'Step' then
      local key = P .. ':cp:' .. entry.id
      if entry.replaces then call('HDEL', key, entry.replaces) end
      call('HSETNX', key, entry.name, entry.value)
      row.hasCheckpoints = true
      if entry.undo then more(row).undo = true end
    elseif entry.kind == 'Progress' then
      call('HSET', P .. ':g', entry.id, entry.value)
      row.hasProgress = true
      tell('progress', row.id, kindOf(row.kind), row.attempt)
    else
      local lines = {}
      local key = P .. ':lg:' .. entry.id
      -- The newest 200 are kept.
      for n = math.max(1, #entry.lines - 199), #entry.lines do
        lines[#lines + 1] = string.format('{"attempt":%d,"at":%.0f,"message":', row.attempt, now) ..
          cjson.encode(entry.lines[n]) .. '}'
      end
      if #lines > 0 and call('RPUSH', key, unpack(lines)) > 200 then call('LTRIM', key, -200, -1) end
      row.hasLogs = row.hasLogs or #lines > 0
    end
  end
end
flush()
close()
return table.concat(answers)
`

/** Completes a waitpoint of a record that has not ended, unless somebody has. */
export const complete = String.raw`
function L.complete(row, waitpoint, value)
  if call('HSETNX', P .. ':cp:' .. row.id, waitpoint, value) == 0 then return 'Existing' end
  row.hasCheckpoints = true
  if row.state ~= BLOCKED or row.more.blocked ~= 'Waitpoint' or row.more.on ~= waitpoint then return 'Early' end
  L.run(row, now)
  return 'Delivered'
end
`

/** ARGV: id, waitpoint, value. */
export const signal = String.raw`
local row = load(ARGV[1])
if not row or isFinal(row) then return 'NotFound' end
local answer = L.complete(row, ARGV[2], ARGV[3])
flush()
close()
return answer
`
