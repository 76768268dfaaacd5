/**
 * The limit: one Lua script that forgets what was acknowledged and claims the next batch, over node-redis. It has no
 * retries, leases, fences or history; what a worker that dies had claimed stays claimed. Enqueues in flight are sent together.
 */
import { createClient, defineScript } from "redis"
import { type MakeSystem, pooled, sleep, text } from "../../src/system.ts"

const pushAll = (parser: { push: (...args: ReadonlyArray<string>) => unknown }, args: ReadonlyArray<string>) => {
  parser.push(...args)
}

/** `KEYS` ready, due, sleepers, wake; `ARGV` the due instant or 0, the payloads. A sleeping worker is woken once. */
const store = defineScript({
  SCRIPT: `
    local due = tonumber(ARGV[1])
    if due == 0 then
      redis.call("RPUSH", KEYS[1], unpack(ARGV, 2))
      if redis.call("EXISTS", KEYS[3]) == 1 then
        redis.call("DEL", KEYS[3])
        redis.call("LPUSH", KEYS[4], "")
      end
    else
      for i = 2, #ARGV do redis.call("ZADD", KEYS[2], due, ARGV[i]) end
    end`,
  NUMBER_OF_KEYS: 4,
  parseCommand: (parser, due: number, payloads: ReadonlyArray<string>) =>
    pushAll(parser, ["ready", "due", "sleepers", "wake", String(due), ...payloads]),
  transformReply: (reply: unknown) => reply
})

/** `KEYS` ready, claimed, due, sleepers; `ARGV` how many, whether a sleep follows, the ids. */
const exchange = defineScript({
  SCRIPT: `
    for i = 3, #ARGV, 5000 do redis.call("SREM", KEYS[2], unpack(ARGV, i, math.min(i + 4999, #ARGV))) end
    local time = redis.call("TIME")
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local due = redis.call("ZRANGE", KEYS[3], "-inf", now, "BYSCORE", "LIMIT", 0, 1000)
    if #due > 0 then
      redis.call("RPUSH", KEYS[1], unpack(due))
      redis.call("ZREM", KEYS[3], unpack(due))
    end
    local count = tonumber(ARGV[1])
    local jobs = count > 0 and redis.call("LPOP", KEYS[1], count) or {}
    if #jobs > 0 then
      local ids = {}
      for i = 1, #jobs do ids[i] = string.match(jobs[i], "^%d+") end
      redis.call("SADD", KEYS[2], unpack(ids))
    elseif ARGV[2] == "1" then
      redis.call("SET", KEYS[4], 1)
    end
    local next = redis.call("ZRANGE", KEYS[3], 0, 0, "WITHSCORES")
    return { jobs, next[2] and math.ceil(next[2] - now) or -1 }`,
  NUMBER_OF_KEYS: 4,
  parseCommand: (parser, count: number, sleeps: boolean, ids: ReadonlyArray<string>) =>
    pushAll(parser, ["ready", "claimed", "due", "sleepers", String(count), sleeps ? "1" : "0", ...ids]),
  transformReply: (reply: unknown) => reply as readonly [jobs: ReadonlyArray<string>, nextDueIn: number]
})

const clientOf = (url: string) => createClient({ url, scripts: { store, exchange } }).connect()

const batch = 500

/** One connection, one loop: writes what is done and asks for more, while handlers run what it has. */
const startWorker = async (
  url: string,
  concurrency: number,
  handle: (n: number) => Promise<void> | void
): Promise<() => Promise<void>> => {
  const client = await clientOf(url)
  const sleeper = await createClient({ url }).connect()

  const state = { closed: false, running: 0 }
  let done: Array<string> = []
  let wake = () => {}
  const waiting: Array<string> = []
  const sleepUntilWoken = () => new Promise<void>((resolve) => (wake = resolve))

  const ended = (id: string) => {
    state.running--
    done.push(id)
    runMore()
    wake()
  }
  const runMore = () => {
    while (state.running < concurrency && waiting.length > 0) {
      const job = waiting.shift()!
      const colon = job.indexOf(":")
      const id = job.slice(0, colon)
      const { n } = JSON.parse(job.slice(colon + 1))
      const handled = handle(n)
      if (handled === undefined) done.push(id)
      else {
        state.running++
        void handled.then(() => ended(id))
      }
    }
  }

  const step = async (sleeps: boolean): Promise<number | undefined> => {
    const acknowledged = done
    done = []
    const limit = state.closed ? 0 : batch - waiting.length
    const [jobs, nextDueIn] = await client.exchange(limit, sleeps && done.length === 0, acknowledged)
    for (const job of jobs) waiting.push(job)
    runMore()
    return jobs.length > 0 ? undefined : nextDueIn
  }
  const loop = (async () => {
    while (!state.closed || state.running > 0 || done.length > 0) {
      const nextDueIn = await step(state.running === 0)
      if (done.length > 0 || nextDueIn === undefined && state.running === 0) continue
      // Handlers are at work: the next of them to end is the next thing to do, and those that end with it go along.
      if (state.running > 0) {
        await sleepUntilWoken()
        await sleep(0)
      } else if (!state.closed) {
        const millis = Math.min(nextDueIn === undefined || nextDueIn < 0 ? 100 : nextDueIn + 1, 100)
        await sleeper.blPop("wake", millis / 1000)
      }
    }
  })()

  return async () => {
    state.closed = true
    wake()
    await loop
    client.destroy()
    sleeper.destroy()
  }
}

export const make: MakeSystem = async ({ millis, run, url }) => {
  const client = await clientOf(url)
  const payload = (n: number) => `${n}:${JSON.stringify({ n, text })}`

  let outbox: Array<string> = []
  let sending: Promise<unknown> | undefined
  /** What is enqueued in one turn, or while a script is under way, goes with the next. */
  const enqueue = async (n: number): Promise<void> => {
    outbox.push(payload(n))
    await sending
    const batch = outbox
    if (batch.length > 0) {
      outbox = []
      sending = client.store(0, batch)
    }
    await sending
  }
  const enqueueMany = async (from: number, count: number, due = 0) => {
    for (let n = from; n < from + count; n += 5000) {
      await client.store(due, Array.from({ length: Math.min(5000, from + count - n) }, (_, i) => payload(n + i)))
    }
  }
  const handle = millis === 0 ? run : (n: number) => sleep(millis).then(() => run(n))
  const stops: Array<() => Promise<void>> = []
  return {
    enqueue: (from, count, inFlight) => pooled(from, count, inFlight, enqueue),
    enqueueBulk: (from, count) => enqueueMany(from, count),
    enqueueDue: (from, count, instant) => enqueueMany(from, count, instant),
    start: async (concurrency) => {
      stops.push(await startWorker(url, concurrency, handle))
    },
    canHaveTwoWorkers: true,
    close: async () => {
      await Promise.all(stops.map((stop) => stop()))
      client.destroy()
    }
  }
}
