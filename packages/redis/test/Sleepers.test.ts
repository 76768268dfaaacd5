/** Whom a record wakes that becomes ready: what the scripts publish, and what workers make of it. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Effect, Layer, Random, Schema } from "effect"
import { Redis } from "effect/persistence"
import { Advance } from "../../testing/src/internal/suite/harness.ts"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { Client } from "../src/internal/client.ts"
import { field } from "../src/internal/codec.ts"
import { type Scripts, scripts } from "../src/internal/scripts.ts"
import { make, usualSettings } from "../src/internal/store.ts"
import * as Harness from "./harness.ts"
import * as Partitions from "./partitions.ts"

/** A clock that stands still, and beside it everything that a script publishes to workers is kept in a list. */
const overheard = `local publish = call
  call = function(...)
    local command, channel, message = ...
    if command == 'PUBLISH' and channel == P .. ':w' then publish('RPUSH', P .. ':said', message) end
    return publish(...)
  end
  ${Harness.frozenClock}`

/** Beside that, sleepers are drawn in the order of their names. */
const inOrder = `${overheard}
  local draw = call
  call = function(...)
    local command, key, many = ...
    if command ~= 'SPOP' then return draw(...) end
    local names = draw('SORT', key, 'ALPHA', 'LIMIT', 0, many)
    if #names > 0 then draw('SREM', key, unpack(names)) end
    return names
  end`

const replaced = (text: string, from: RegExp, to: string): string => {
  assert.match(text, from)
  return text.replace(from, to)
}

/** The scripts of the release before: a field says that somebody sleeps, and all are told. */
const before = (all: Scripts): Scripts => {
  const broadcast = (text: string) => text.replaceAll(/if flag == '2' and many and many <= 100 then/g, "if false then")
  const calling = Object.fromEntries(Object.entries(all).map(([verb, text]) => [verb, broadcast(text)])) as Scripts
  const exchange = replaced(
    calling.exchange,
    /rest\(each\.name, flag, hasRoom\)/,
    "call('HSET', P, 'z' .. each.name, 1)"
  )
  return { ...calling, exchange: replaced(exchange, /if flag == '2' then call\('SREM'[^\n]*/, "") }
}

interface Stage {
  readonly prefix: string
  readonly store: JobStore.Shape
  /** Another store on the same keys, of the release before. */
  readonly earlier: JobStore.Shape
}

/** What was published since it was last asked for. */
const said = (prefix: string) =>
  Effect.gen(function*() {
    const list = yield* Harness.send<ReadonlyArray<string>>("LRANGE", `{${prefix}}:said`, "0", "-1")
    yield* Harness.send("DEL", `{${prefix}}:said`)
    return list
  })

const plain = (worker: string): string => worker.replace(/^~/, "")

/** The workers that a message names; undefined where it is for all of a queue. */
const namesOf = (message: string): ReadonlyArray<string> | undefined =>
  message.startsWith("n") ? message.slice(1).split(field).map(plain) : undefined

const sleepersOf = (prefix: string, queue = "default") =>
  Effect.map(
    Harness.send<ReadonlyArray<string>>("SMEMBERS", `{${prefix}}:z:${queue}`),
    (list) => [...list].map(plain).toSorted()
  )

const onStage = <A, E>(
  theme: string,
  run: (stage: Stage) => Effect.Effect<A, E, JobStore.JobStore | Redis.Redis>,
  clock = overheard
) =>
  Effect.gen(function*() {
    const prefix = Harness.prefixOf(theme)
    const redis = yield* Redis.Redis
    yield* Harness.empty(prefix)
    yield* Harness.freeze(prefix)
    const open = (all: Scripts) =>
      Effect.gen(function*() {
        const client = new Client(redis, `{${prefix}}`, all, yield* Effect.scope)
        return yield* make(client, { ...usualSettings, identity: prefix })
      })
    const store = yield* open(scripts(clock))
    const earlier = yield* open(before(scripts(clock)))
    yield* run({ prefix, store, earlier }).pipe(
      Effect.provideService(JobStore.JobStore, store),
      Effect.provideService(
        Advance,
        (millis) =>
          Effect.asVoid(Effect.orDie(Effect.provideService(Harness.advance(prefix, millis), Redis.Redis, redis)))
      )
    )
    yield* Harness.empty(prefix)
  }).pipe(Effect.scoped, Effect.provide(Harness.client()))

const twelve = Array.from({ length: 12 }, (_, i) => `w${i + 10}`)

/** All of them have looked, found nothing, and have room for two. */
const allAsleep = Effect.forEach(twelve, (worker) => Effect.andThen(Suite.renew(worker), Suite.claim(worker, 2)))

describe("twelve workers that sleep", () => {
  it.live("are called by name, three for a record, and others for the next one", () =>
    onStage("sleepers_three", ({ prefix }) =>
      Effect.gen(function*() {
        yield* allAsleep
        assert.deepStrictEqual(yield* sleepersOf(prefix), twelve)
        yield* Suite.enqueue()
        const first = yield* said(prefix)
        yield* Suite.enqueue()
        const second = yield* said(prefix)
        assert.lengthOf([...first, ...second], 2)
        const called = new Set([...namesOf(first[0]!)!, ...namesOf(second[0]!)!])
        assert.strictEqual(called.size, 6)
        assert.deepStrictEqual(yield* sleepersOf(prefix), twelve.filter((worker) => !called.has(worker)))
      })))

  it.live("are called as many as records come, and all when these are more than they are", () =>
    onStage("sleepers_many", ({ prefix }) =>
      Effect.gen(function*() {
        yield* allAsleep
        yield* Suite.enqueueMany(7)
        const [seven] = yield* said(prefix)
        assert.strictEqual(new Set(namesOf(seven!)).size, 7)
        yield* Suite.enqueueMany(100)
        assert.deepStrictEqual(yield* said(prefix), ["wdefault"])
        yield* Suite.enqueueMany(100)
        assert.deepStrictEqual(yield* said(prefix), [], "nobody sleeps any more")
      })))

  it.live("are called for the records of a batch that are of several jobs, counted by queue", () =>
    onStage("sleepers_jobs", ({ prefix, store }) =>
      Effect.gen(function*() {
        yield* allAsleep
        const records = ["A", "B", "C", "D", "E"].map((tag) => Suite.record({ tag }))
        yield* store.enqueue({ records })
        const list = yield* said(prefix)
        assert.deepStrictEqual(list.map((message) => namesOf(message)?.length), [5])
        yield* store.enqueue({ records })
        assert.deepStrictEqual(yield* said(prefix), [], "they are there already")
      })))

  it.live("are called for what an end lets go on, unless the same exchange claims it", () =>
    onStage("sleepers_ends", ({ prefix, store }) =>
      Effect.gen(function*() {
        const ends = (slots: number) =>
          Effect.gen(function*() {
            const concurrency = { key: "k", limit: 1 }
            yield* store.enqueue({ records: [Suite.record({ concurrency }), Suite.record({ concurrency })] })
            const { fence, id } = yield* Suite.claimOne("w0")
            yield* allAsleep
            yield* said(prefix)
            const { claimed } = yield* Suite.exchange("w0", {
              settlements: [{ id, fence, outcome: Suite.complete, finishedAfter: 0 }],
              demand: slots === 0 ? [] : [{ queue: "default", slots, share: slots }],
              total: slots
            })
            const heard = yield* said(prefix)
            for (const attempt of [...claimed, ...yield* Suite.claim("w0")]) {
              yield* Suite.settle("w0", attempt, Suite.complete)
            }
            return [
              claimed.length,
              ...heard.map((message) => namesOf(message)?.length)
            ]
          })
        assert.deepStrictEqual(yield* ends(1), [1])
        assert.deepStrictEqual(yield* ends(0), [0, 3])
      })))

  it.live("are called as many as there are records that are due later: they know when", () =>
    onStage("sleepers_later", ({ prefix }) =>
      Effect.gen(function*() {
        yield* allAsleep
        yield* said(prefix)
        yield* Suite.enqueue({ delay: 1000 })
        assert.deepStrictEqual((yield* said(prefix)).map((message) => namesOf(message)?.length), [3])
      })))

  it.live("are all told of what nobody knows who can take: a limit, the end of a pause", () =>
    onStage("sleepers_all", ({ prefix, store }) =>
      Effect.gen(function*() {
        const told = <A, E>(what: string, change: Effect.Effect<A, E, JobStore.JobStore>) =>
          Effect.gen(function*() {
            yield* allAsleep
            yield* said(prefix)
            yield* change
            assert.deepStrictEqual(yield* said(prefix), ["wdefault"], what)
          })
        yield* told(
          "a pause",
          Effect.andThen(store.pause("default", true), store.pause("default", false))
        )
        yield* told("a limit", store.limits([{ _tag: "Override", name: "default", settings: { concurrency: 50 } }]))
      })))

  it.live("are all told where one that was drawn is dead, and the dead are forgotten", () =>
    onStage("sleepers_dead", ({ prefix }) =>
      Effect.gen(function*() {
        yield* allAsleep
        // Nine renew, three do not.
        yield* Suite.advance(Suite.lease - 1000)
        for (const worker of twelve.slice(3)) yield* Suite.renew(worker)
        yield* Suite.advance(2000)
        const dead = new Set(twelve.slice(0, 3))
        for (let i = 0; i < 4; i++) {
          yield* Suite.enqueue()
          const [message] = yield* said(prefix)
          if (message === "wdefault") return
          assert.isFalse(namesOf(message!)!.some((worker) => dead.has(worker)), "the dead are called")
        }
        return assert.fail("three of twelve are not to be found by four draws of three")
      })))

  it.live("are called beside one that died within its lease", () =>
    onStage("sleepers_lost", ({ prefix }) =>
      Effect.gen(function*() {
        yield* allAsleep
        for (let i = 0; i < 4; i++) {
          yield* Suite.enqueue()
          const [message] = yield* said(prefix)
          assert.isAtLeast(namesOf(message!)!.filter((worker) => worker !== "w10").length, 2)
        }
      })))

  it.live("are called by who was called itself and was filled by another queue before it came to this one", () =>
    onStage("sleepers_passed", ({ prefix }) =>
      Effect.gen(function*() {
        // Both queues, and no room for more than one.
        const look = (worker: string) => {
          const demand = ["default", "other"].map((queue) => ({ queue, slots: 1, share: 0 }))
          return Suite.exchange(worker, { demand, total: 1 })
        }
        const called = twelve.slice(0, 3)
        for (const worker of twelve) yield* Effect.andThen(Suite.renew(worker), look(worker))
        yield* Suite.enqueueMany(3)
        yield* Suite.enqueue({ queue: "other" })
        assert.deepStrictEqual((yield* said(prefix)).map(namesOf), [called, called], "the same three for both")
        const replies = yield* Effect.forEach(called, look)
        assert.deepStrictEqual(
          replies.map(({ claimed, more }) => [claimed.map(({ queue }) => queue), more.includes("other")]),
          called.map(() => [["default"], true])
        )
        // Nobody else knows of the record: each of them calls three more, who have room.
        assert.deepStrictEqual(yield* sleepersOf(prefix, "other"), [])
        assert.deepStrictEqual(
          new Set((yield* said(prefix)).flatMap((message) => namesOf(message)!)),
          new Set(twelve.slice(3))
        )
        const { claimed } = yield* look(twelve[3]!)
        assert.deepStrictEqual(claimed.map(({ queue }) => queue), ["other"])
      }), inOrder))

  it.live("are not called where they were filled, have left, or are of no use to the queue", () =>
    onStage("sleepers_filled", ({ prefix }) =>
      Effect.gen(function*() {
        yield* allAsleep
        yield* Suite.enqueueMany(3)
        yield* said(prefix)
        for (const worker of twelve) yield* Suite.claim(worker, 1)
        const filled = (yield* Effect.flatMap(JobStore.JobStore, ({ stats }) => stats)).workers
          .filter(({ holds }) => holds > 0).map(({ worker }) => worker)
        assert.lengthOf(filled, 3)
        assert.deepStrictEqual(yield* sleepersOf(prefix), twelve.filter((worker) => !filled.includes(worker)))
        const left = twelve.find((worker) => !filled.includes(worker))!
        yield* Suite.renew(left, { lease: 0 })
        assert.notInclude(yield* sleepersOf(prefix), left)
        assert.deepStrictEqual(yield* sleepersOf(prefix, "other"), [])
      })))
})

describe("beside a worker of the release before", () => {
  it.live("everybody is told while one of its workers may sleep", () =>
    onStage("sleepers_before", ({ earlier, prefix }) =>
      Effect.gen(function*() {
        yield* Effect.provideService(Suite.claim("old"), JobStore.JobStore, earlier)
        yield* allAsleep
        yield* said(prefix)
        yield* Suite.enqueue()
        assert.deepStrictEqual(yield* said(prefix), ["wdefault"])
        yield* Suite.claim("w10", 2)
        yield* allAsleep
        yield* Effect.provideService(Suite.claim("old"), JobStore.JobStore, earlier)
        yield* said(prefix)
        yield* Suite.enqueue()
        assert.deepStrictEqual(yield* said(prefix), ["wdefault"], "whoever looked first")
      })))

  it.live("its enqueue tells everybody, and the names of then count no more", () =>
    onStage("sleepers_enqueue", ({ earlier, prefix }) =>
      Effect.gen(function*() {
        yield* allAsleep
        yield* Effect.provideService(Suite.enqueue(), JobStore.JobStore, earlier)
        assert.deepStrictEqual(yield* said(prefix), ["wdefault"])
        yield* Suite.claim("w10", 1)
        yield* Suite.claim("w11", 1)
        assert.deepStrictEqual(yield* sleepersOf(prefix), ["w11"])
      })))
})

describe("under random calls", () => {
  const workers = Array.from({ length: 20 }, (_, i) => `w${i + 10}`)
  const queues = ["default", "other"]

  interface Worker {
    readonly name: string
    readonly isEarlier: boolean
    readonly slots: number
    readonly queues: ReadonlyArray<string>
    readonly held: Array<JobStore.Claimed>
    /** It is about to look: it was told, or has not looked yet, or there was more. */
    isAwake: boolean
  }

  const roomOf = ({ held, slots }: Worker) => slots - held.length
  const pick = <A>(from: ReadonlyArray<A>) => Effect.map(Random.nextIntBetween(0, from.length - 1), (i) => from[i]!)

  /** `mixed`: some workers, and some enqueues, are of the release before. */
  const holds = (seed: string, mixed: boolean) =>
    onStage(
      `sleepers_random_${seed}_${mixed ? "mixed" : "one"}`,
      ({ earlier, prefix, store }) =>
        Effect.gen(function*() {
          const crowd: Array<Worker> = []
          for (const [i, name] of workers.entries()) {
            crowd.push({
              name,
              isEarlier: mixed && i < 2,
              slots: yield* Random.nextIntBetween(1, 3),
              queues: i % 4 === 3 ? ["other"] : queues,
              held: [],
              isAwake: true
            })
          }
          const hear = Effect.map(said(prefix), (messages) => {
            for (const message of messages) {
              const names = namesOf(message)
              const queue = message.slice(1)
              for (const worker of crowd) {
                // Of the release before, nobody knows this message.
                const isCalled = names === undefined
                  ? worker.queues.includes(queue)
                  : !worker.isEarlier && names.includes(worker.name)
                if (isCalled) worker.isAwake = true
              }
            }
            return messages
          })
          let named = 0
          const step = Effect.gen(function*() {
            const kind = yield* Random.nextIntBetween(0, 11)
            if (kind <= 2) {
              const many = kind === 0 ? yield* Random.nextIntBetween(2, 9) : 1
              const other = yield* Random.nextIntBetween(0, 3)
              const on = mixed && other === 0 ? earlier : store
              const key = yield* Random.nextIntBetween(0, 4)
              const queue = yield* pick(queues)
              const more = key === 0 ? { concurrency: { key: "k", limit: 2 } } : {}
              yield* on.enqueue({ records: Array.from({ length: many }, () => Suite.record({ queue, ...more })) })
              return
            }
            const awake = crowd.filter(({ isAwake }) => isAwake)
            const worker = yield* pick(kind <= 9 && awake.length > 0 ? awake : crowd)
            const ends = worker.held.splice(0, yield* pick([0, 1, 3, 3, 3]))
            const room = roomOf(worker)
            const reply = yield* (worker.isEarlier ? earlier : store).exchange({
              worker: worker.name,
              lease: Suite.lease,
              settlements: ends.map(({ fence, id }) => ({ id, fence, outcome: Suite.complete, finishedAfter: 0 })),
              demand: room === 0 ? [] : worker.queues.map((queue) => ({ queue, slots: room, share: 0 })),
              total: room
            })
            worker.held.push(...reply.claimed)
            worker.isAwake = reply.more.length > 0
          })
          for (let i = 1; i <= 400; i++) {
            yield* step
            named += (yield* hear).filter((message) => namesOf(message) !== undefined).length
            const stats = yield* store.stats
            for (const { counts, queue } of stats.queues) {
              if (counts.ready === 0) continue
              const free = crowd.filter((worker) => worker.queues.includes(queue) && roomOf(worker) > 0)
              assert.isTrue(
                free.length === 0 || free.some(({ isAwake }) => isAwake),
                `step ${i}: ${counts.ready} of ${queue} wait, ${free.map(({ name }) => name).join()} sleep`
              )
            }
          }
          assert.isAbove(named, 0, "some are called by name")
        }).pipe(Random.withSeed(seed))
    )

  for (const seed of ["1", "2", "3", "4", "5", "6"]) {
    it.live(`nobody with room sleeps beside work (seed ${seed})`, () => holds(seed, false), 60_000)
    it.live(`nor with the release before on the same keys (seed ${seed})`, () => holds(seed, true), 60_000)
  }
})

class Task extends Job.make("Task", { payload: Schema.Number }) {}
const group = JobGroup.make(Task)

describe("twelve workers of twelve processes, one of which has work", () => {
  const prefix = Harness.prefixOf("sleepers_processes")
  const partitions = { counts: new Map([["default", 3]]), many: 3 }
  const stores = {
    "one partition": { many: 1, open: Harness.storeOf(prefix) },
    "three partitions": { many: 3, open: Partitions.storeOf(prefix, partitions) }
  }

  it.live.each(Object.entries(stores))(
    "ask the store a handful of times for each record, in %s",
    ([, { many, open }]) => {
      const ran: Array<number> = []
      let exchanges = 0
      let underWay = 0
      const counted = Effect.map(JobStore.JobStore, (store): JobStore.Shape => ({
        ...store,
        exchange: (request) =>
          Effect.suspend(() => {
            exchanges++
            underWay++
            return Effect.ensuring(store.exchange(request), Effect.sync(() => underWay--))
          })
      }))
      const worker = JobWorker.layer(group, { concurrency: 6, pollInterval: "1 hour" }).pipe(
        Layer.provide(Task.toLayer((n) => Effect.sync(() => void ran.push(n)))),
        Layer.provide(Layer.effect(JobStore.JobStore, counted)),
        Layer.provide(Layer.fresh(open))
      )
      // Each that was called is in the set again when it has looked.
      const asleep = (least: number) =>
        Harness.until(
          "all sleep",
          Effect.gen(function*() {
            for (let at = 0; at < many; at++) {
              const key = at === 0 ? `{${prefix}}` : `{${prefix}/${at}}`
              if (Number(yield* Harness.send("SCARD", `${key}:z:default`)) < least) return false
            }
            return underWay === 0
          })
        )
      return Effect.gen(function*() {
        for (let i = 0; i < 12; i++) yield* Layer.build(Layer.fresh(worker))
        yield* asleep(12)
        exchanges = 0
        const records = 10
        for (let n = 0; n < records; n++) {
          yield* Task.enqueue(n)
          yield* Harness.until(`record ${n} is run`, Effect.sync(() => ran.includes(n)))
          yield* asleep(12)
        }
        // Three that were called, one of them that settles, and each once more when it hears for the first time.
        assert.isAtMost(exchanges, 5 * records + 12)
      }).pipe(
        Effect.scoped,
        Effect.provide(open),
        Effect.ensuring(Effect.orDie(Harness.emptyAll(prefix))),
        Effect.provide(Harness.client())
      )
    }
  )
})
