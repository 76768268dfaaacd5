/**
 * Limits of queues, and of keys that several jobs share: those whose names begin with `@`.
 *
 * A claim alone takes a token, by the server's clock (P7). No more records of a shared key are ready than could start now;
 * they wait among those that came back, where each start looks at its key. The others wait under their key, out of
 * everybody's way, until a slot is freed or the key's instant comes. Cost: some five commands a record with a shared key, and
 * none for others.
 */

/**
 * Settings, and a token bucket that needs one number, when it is full again: the memory store's `bucket.ts` says how it works.
 * A limit is kept as its release, what was proposed, and what an operator set.
 */
export const bucket = String.raw`
local function limitFrom(text)
  local release, proposed, override = string.match(text, '^(%-?%d+)\31([^\31]*)\31([^\31]*)$')
  local holds = cjson.decode(proposed)
  -- What an enqueuer has proposed says the order, and nothing else.
  if release == '-1' and override == '' then return nil, holds.order == 'fair' end
  if override ~= '' then
    for name, value in pairs(cjson.decode(override)) do holds[name] = value end
  end
  local rate = holds.rate
  return {
    slots = holds.concurrency or math.huge, fair = holds.order == 'fair',
    gap = rate and rate.perMillis / rate.limit, burst = rate and rate.burst, breaker = holds.breaker
  }
end

-- Full later than an empty bucket it is only by a slower rate than the present one, or by a clock that was set back: by less
-- than a second nothing is gained.
local function fullAtOf(limit, fullAt) return math.min(fullAt, now + limit.burst * limit.gap + 1000.9) end

local function tokensOf(limit, fullAt)
  if not limit.gap then return math.huge end
  return math.max(0, math.floor(limit.burst + (now - math.max(fullAtOf(limit, fullAt), now) + 0.901) / limit.gap))
end

local function takenFrom(limit, fullAt, many) return math.max(fullAtOf(limit, fullAt), now) + many * limit.gap end

local function opensAtOf(limit, fullAt, many)
  return math.ceil(fullAtOf(limit, fullAt) - (limit.burst - many) * limit.gap - 0.9)
end
`

/**
 * Part of the library. A shared key's state, read once and written once a call: u slots used, r those of them that may start,
 * w how many wait, b how many failed in a row, l the limit that its records carry, f when its bucket is full, c closed until, t its turns by queue, at when
 * it is to be looked at.
 */
export const limits = String.raw`
-- Places of records that take turns: behind all others.
local FAIR = 8796093022208

L.orders = {}

function L.isShared(key) return key and string.byte(key) == 64 end
function L.spaceOf(key) return string.match(key, '^@[^/]*') end

function L.limitOf(key)
  local name = L.spaceOf(key)
  L.limits = L.limits or {}
  if L.limits[name] == nil then
    local text, limit, fair = call('HGET', P .. ':li', name), nil, nil
    if text then limit, fair = limitFrom(text) end
    L.limits[name], L.orders[name] = limit or false, limit and limit.fair or fair
  end
  return L.limits[name] or nil
end

local function keyFrom(key, text)
  if not text then call('ZADD', P .. ':kn:' .. L.spaceOf(key), 0, key) end
  local state = text and cmsgpack.unpack(text) or { u = 0, r = 0, w = 0, b = 0, l = 1, f = 0, c = 0 }
  sharedKeys[key] = state
  return state
end

function L.keyOf(key)
  touchedKeys[key] = true
  return sharedKeys[key] or keyFrom(key, call('HGET', P .. ':ks', key))
end

-- Reads many that are about to be asked for.
function L.readKeys(keys)
  local unread = {}
  for _, key in ipairs(keys) do if not sharedKeys[key] then unread[#unread + 1] = key end end
  for first = 1, #unread, 1000 do
    local last = math.min(first + 999, #unread)
    local texts = call('HMGET', P .. ':ks', unpack(unread, first, last))
    for i = first, last do if texts[i - first + 1] then keyFrom(unread[i], texts[i - first + 1]) end end
  end
end

local function slotsOf(key, state)
  local limit = L.limitOf(key)
  -- Before anybody has proposed or set it, the limit holds that each record carries.
  if not limit then return state.l end
  -- Half open, when its instant has come: one probes.
  if limit.breaker and state.b >= limit.breaker.consecutive then return math.min(1, limit.slots) end
  return limit.slots
end

-- How many of a shared key may start now and are not ready yet.
local function roomFor(key, state)
  if now < state.c then return 0 end
  local limit, room = L.limitOf(key), slotsOf(key, state) - state.u
  return limit and math.min(room, tokensOf(limit, state.f) - state.r) or room
end

-- Sees to it that a shared key is looked at when its next record may start, or when it may be forgotten.
function L.watchKey(key)
  local limit, state = L.limitOf(key), L.keyOf(key)
  local at
  if state.w <= 0 then
    at = state.u <= 0 and state.b == 0 and math.max(state.f, state.c) or nil
    if at and at <= now then
      at = nil
      call('HDEL', P .. ':ks', key)
      call('ZREM', P .. ':kn:' .. L.spaceOf(key), key)
      sharedKeys[key] = nil
    end
  elseif state.u < slotsOf(key, state) and not (limit and limit.gap and state.r >= math.floor(limit.burst + 0.9 / limit.gap)) then
    at = roomFor(key, state) > 0 and now or
      math.max(now, state.c, limit and limit.gap and opensAtOf(limit, state.f, state.r + 1) or 0)
  end
  if at == state.at then return end
  state.at = at
  if at then call('ZADD', P .. ':ko', at, key) else call('ZREM', P .. ':ko', key) end
  local first = call('ZRANGE', P .. ':ko', 0, 0, 'WITHSCORES')
  keysAt = tonumber(first[2] or '') or math.huge
  changed.ka = first[2] and string.format('%.0f', math.ceil(keysAt)) or ''
end

-- Lets the next records of a shared key become ready.
function L.fillKey(key)
  local state = L.keyOf(key)
  for _ = 1, 1000 do
    if state.w <= 0 or roomFor(key, state) <= 0 then break end
    local row = L.nextOf(key)
    if not row then
      state.w = 0
      break
    end
    L.admit(row, false)
  end
  L.watchKey(key)
end

-- Looks at the keys whose instant has come.
function L.tendKeys()
  for _, key in ipairs(call('ZRANGEBYSCORE', P .. ':ko', '-inf', now, 'LIMIT', 0, 200)) do
    -- Whatever it says: the entry is there.
    L.keyOf(key).at = false
    L.fillKey(key)
  end
end

function L.waitForKey(row, key, rank)
  local state = L.keyOf(key)
  L.block(row, 'ConcurrencyKey', key)
  call('ZADD', P .. ':kw:' .. key, rank, row.id)
  state.w = state.w + 1
  L.watchKey(key)
end

-- Takes a slot of a shared key, where there is one.
function L.takeShared(key, limit)
  local state = L.keyOf(key)
  state.l = limit
  if roomFor(key, state) <= 0 then return false end
  state.u = state.u + 1
  return true
end

-- Takes a slot of its shared key for a record that is to become ready, or lets it wait.
function L.admitShared(row, key, rank)
  local state = L.keyOf(key)
  if not row.admitted and not L.takeShared(key, row.more.limit) then
    L.waitForKey(row, key, rank)
    -- It may be the first that waits for an instant: somebody has to know of it.
    woken[queueOf(row)] = true
    return false
  end
  if not row.admitted or row.state ~= READY then state.r = state.r + 1 end
  row.admitted = true
  return true
end

-- Gives the slot of a shared key back. The record still has the state in which it had it.
function L.freeShared(row, key)
  local state = L.keyOf(key)
  if row.state == READY then state.r = state.r - 1 end
  state.u = state.u - 1
  L.fillKey(key)
end

-- An attempt has ended: a circuit breaker counts failures in a row. What ends while it is open counts for nothing.
function L.ended(key, s)
  local limit, state = L.limitOf(key), L.keyOf(key)
  local breaker = limit and limit.breaker
  if not breaker or now < state.c then return end
  if s.outcome == 'Complete' then state.b = 0
  elseif s.failure and (s.outcome == 'Dead' or s.outcome == 'RetryAfter' and not s.uncharged) then
    state.b = state.b + 1
    if state.b >= breaker.consecutive then state.c = now + breaker.openMillis end
  end
end

-- Whether a ready record of a shared key may start.
function L.mayStart(key)
  local limit, state = L.limitOf(key), L.keyOf(key)
  return now >= state.c and state.u - state.r < slotsOf(key, state) and (not limit or tokensOf(limit, state.f) > 0)
end

-- One that may has: its token is taken, the next of its key become ready, and the queue's turn goes on.
function L.noteStart(key, queue, place)
  local limit, state = L.limitOf(key), L.keyOf(key)
  state.r = state.r - 1
  if limit and limit.gap then state.f = takenFrom(limit, state.f, 1) end
  if state.w > 0 then L.fillKey(key) end
  if place >= FAIR and place - FAIR > L.turnOf(queue) then
    L.turns[queue] = place - FAIR
    call('HSET', P .. ':q:' .. queue, 't', string.format('%.0f', place - FAIR))
  end
end

-- Starts a ready record; false when its limit is lower than when it became ready, and it waits again.
function L.start(row, rank)
  local key = row.more.key
  if L.mayStart(key) then
    L.noteStart(key, queueOf(row), row.place)
    return true
  end
  local state = L.keyOf(key)
  state.r, state.u = state.r - 1, state.u - 1
  row.admitted = false
  L.waitForKey(row, key, rank)
  return false
end

-- The turn of a queue that was claimed last.
function L.turnOf(queue)
  L.turns = L.turns or {}
  L.turns[queue] = L.turns[queue] or tonumber(call('HGET', P .. ':q:' .. queue, 't') or '0')
  return L.turns[queue]
end

-- Where a record stands that becomes ready: by age, or where its limit is fair, by the turn of its key. Every key has a
-- virtual time, which goes on by one with each of its records and never lies behind that of the queue.
function L.placeOf(key, queue)
  if not L.isShared(key) then return now end
  L.limitOf(key)
  if not L.orders[L.spaceOf(key)] then return now end
  local state = L.keyOf(key)
  state.t = state.t or {}
  state.t[queue] = math.max(L.turnOf(queue), (state.t[queue] or -1) + 1)
  return FAIR + state.t[queue]
end

function L.closeQueue(name, until_)
  local queue = P .. ':q:' .. name
  call('HSET', queue, 'm', 1, 'lc', math.max(until_, tonumber(call('HGET', queue, 'lc') or '0')))
end

-- A handler said that nothing more of its key, or of its queue, may start before an instant.
function L.close(row, what, until_)
  if what == 'queue' then return L.closeQueue(queueOf(row), until_) end
  local state = L.keyOf(row.more.key)
  state.c = math.max(state.c, until_)
end
`

/** What a claim takes of it: how many records of a limited queue may start now, and when more may. */
export const queueRoom = String.raw`
local function measure(queue)
  local key = P .. ':q:' .. queue.name
  local read, text = call('HMGET', key, 'u', 'lf', 'lc'), call('HGET', P .. ':li', queue.name)
  local limit = text and limitFrom(text)
  local fullAt, closedUntil = tonumber(read[2] or '0'), tonumber(read[3] or '0')
  queue.limit, queue.room, queue.opens = limit, math.huge, nil
  if now < closedUntil then
    queue.room, queue.opens = 0, closedUntil
  elseif limit then
    local running = tonumber(read[1] or '0') + (counts[queue.name] and counts[queue.name][RUNNING] or 0)
    queue.room = math.min(limit.slots - running, tokensOf(limit, fullAt))
    -- Whoever ends one of those that run looks for the next; this is for when that one does not.
    queue.opens = running >= limit.slots and now + 250 or limit.gap and opensAtOf(limit, fullAt, 1) or nil
  end
end

local function roomIn(queue)
  if not queue.isLimited then return math.huge end
  if not queue.room then measure(queue) end
  return queue.room - queue.given
end

-- Notes what has started of a limited queue, and measures what is left.
local function noteStarts(queue)
  local limit = queue.limit
  if limit and limit.gap and queue.given > 0 then
    local key = P .. ':q:' .. queue.name
    call('HSET', key, 'lf', string.format('%.6f', takenFrom(limit, tonumber(call('HGET', key, 'lf') or '0'), queue.given)))
  end
  measure(queue)
  queue.given = 0
end
`

/**
 * `limits`: proposes and overrides. ARGV: for each change P or O, name, release, settings as JSON or ''. Answers all of them.
 * Cost: some five commands for each key of a space whose limit is another than before. Each worker proposes at its start, most
 * of them what is there.
 */
export const change = String.raw`
local function set(name, text)
  call('HSET', P .. ':li', name, text)
  L.limits = nil
end

for i = 1, #ARGV, 4 do
  local kind, name, release, settings = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  local text = call('HGET', P .. ':li', name)
  local before, proposed, override = string.match(text or '-1\31{}\31', '^(%-?%d+)\31([^\31]*)\31(.*)$')
  before = tonumber(before)
  if kind == 'O' then override = settings
  elseif release >= before then before, proposed = release, settings end
  local made = string.format('%d', before) .. '\31' .. proposed .. '\31' .. override
  if made == text then
    -- As it was.
  elseif string.byte(name) == 64 then
    set(name, made)
    for _, key in ipairs(call('ZRANGE', P .. ':kn:' .. name, 0, -1)) do L.watchKey(key) end
    for _, queue in ipairs(call('SMEMBERS', P .. ':qs')) do woken[queue] = true end
  else
    set(name, made)
    call('HSET', P .. ':q:' .. name, 'm', 1)
    woken[name] = true
  end
end
flush()
close()
return call('HGETALL', P .. ':li')
`

/**
 * `keys`: keys of a space with something to tell. ARGV: name, the last key before or '', how many. Answers them, and the key after
 * which to go on when there may be more: it looks at 5,000 a call, two commands each.
 */
export const keys = String.raw`
local found, after = {}, ARGV[2] ~= '' and '(' .. ARGV[2] or '-'
local rounds = 0
repeat
  rounds = rounds + 1
  local names = call('ZRANGEBYLEX', P .. ':kn:' .. ARGV[1], after, '+', 'LIMIT', 0, 500)
  for _, key in ipairs(names) do
    if #found == tonumber(ARGV[3]) then break end
    local state = L.keyOf(key)
    if state.u > 0 or state.w > 0 or state.c > now then
      found[#found + 1] = table.concat({
        key, math.min(state.w, 10000), state.r, state.u - state.r, state.b, state.c > now and string.format('%.0f', state.c) or ''
      }, '\31')
    end
  end
  after = #names == 500 and '(' .. names[#names] or nil
until not after or #found == tonumber(ARGV[3]) or rounds == 10
return { table.concat(found, '\30'), after and string.sub(after, 2) or '' }
`
