/**
 * The record that tells of a death which no attempt has decided, so that what follows it is enqueued by whoever has the job's
 * code. Cost: some ten commands, of a record that is followed; one read of another.
 */
import { JobStore } from "capstan"

const { endedHeader } = JobStore

export const follow = String.raw`
-- An id that follows from two texts, with the instant of the first, which is one.
local function idFrom(id, text)
  local digest, parts = redis.sha1hex(id .. text), { string.sub(id, 1, 8) }
  for i = 9, 22 do
    local value = tonumber(string.sub(digest, 2 * i - 17, 2 * i - 16), 16) % 64
    -- Its version, its variant, and no more than 128 bits.
    if i == 9 then value = 28 + value % 4 elseif i == 11 then value = value - value % 4 + 2
    elseif i == 22 then value = value - value % 16 end
    parts[#parts + 1] = string.sub(alphabet, value + 1, value + 1)
  end
  return table.concat(parts)
end

-- JSON writes half of a surrogate pair as its number, which cjson does not read: behind U+001A it does, and that one alike.
local function readable(text)
  return (string.gsub(text, '\\(.)(%x?%x?%x?%x?)', function(char, number)
    if char == 'u' and (number == '001a' or string.find(number, '^d[89a-f]')) then return '\\u001a' .. number end
  end))
end

-- The other way round.
local function asWritten(text)
  return (string.gsub(text, '\\(.)(%x?%x?%x?%x?)(%x?%x?%x?%x?)', function(char, number, behind)
    if char == 'u' and number == '001a' and behind ~= '' then return '\\u' .. behind end
  end))
end

-- Nobody is there to be told that a settlement's record or a tick's is refused: it is stored without the unique key that would
-- change a member of a flow. Once too often is better than never.
function L.leaveKey(spec)
  local text, others = string.match(spec.rest, '^([^\31]*)(\31.*)$')
  local isRead, its = pcall(cjson.decode, readable(text))
  if isRead then
    its.uniqueKey = nil
    spec.rest = asWritten(cjson.encode(its)) .. others
  end
  spec.unique = nil
end

-- A death that no attempt has decided: one that is followed leaves a record which tells of it.
function L.follow(row)
  headOf(row)
  local text, sensitive, payload = string.match(row.rest, '^([^\31]*)\31([^\31]*)\31(.*)$')
  if not text or not string.find(text, '"followed":true', 1, true) then return end
  local isRead, its = pcall(cjson.decode, readable(text))
  if not isRead or not its.followed then return end
  for _, name in ipairs({ 'followed', 'idempotencyKey', 'uniqueKey', 'concurrencyKey', 'rateKey', 'batchKey', 'flowId' }) do
    its[name] = nil
  end
  its.parent = L.uuidOf(row.id)
  its.headers = its.headers or {}
  its.headers['${endedHeader}'] = L.deathOf(row)
  insert({
    -- Of another life another one.
    id = idFrom(row.id, string.format('%d', row.fence)), tag = kindOf(row.kind).tag, kind = kindOf(row.kind).text, delay = 0,
    labels = row.more.labels, parent = row.id, rest = asWritten(cjson.encode(its)) .. '\31' .. sensitive .. '\31' .. payload
  })
end
`
