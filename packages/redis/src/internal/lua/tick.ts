/** `schedules` and `tick`. Cost: three commands a schedule; a tick stores its record in the write that moves it on (P8). */

/** ARGV: JSON of the schedules to put. Answers all of them. */
export const schedules = String.raw`
local key = P .. ':sc'
for _, each in ipairs(cjson.decode(ARGV[1])) do
  local text = call('HGET', key, each.name)
  if not text or string.match(text, '^%d+\31(.*)$') ~= each.definition then
    call('HSET', key, each.name, string.format('%.0f', each.nextAt) .. '\31' .. each.definition)
  end
end
return call('HGETALL', key)
`

/** ARGV: name, planned instant, the next one, JSON of the record or ''. */
export const tick = String.raw`
local text = call('HGET', P .. ':sc', ARGV[1])
if not text then return 0 end
local nextAt, definition = string.match(text, '^(%d+)\31(.*)$')
if tonumber(nextAt) ~= tonumber(ARGV[2]) then return 0 end
call('HSET', P .. ':sc', ARGV[1], ARGV[3] .. '\31' .. definition)
if ARGV[4] ~= '' then enqueueOne(cjson.decode(ARGV[4])) end
flush()
close()
return 1
`
