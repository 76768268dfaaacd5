/**
 * What is written in one partition for another arrives once, whoever dies on the way: after the first write, between the two,
 * or before what was taken is removed.
 */
import { assert, describe, it } from "@effect/vitest"
import { JobError, JobStore } from "capstan"
import { Effect, Exit } from "effect"
import { Advance } from "../../testing/src/internal/suite/harness.ts"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import type { Calls } from "../src/internal/client.ts"
import { scripts, type Verb } from "../src/internal/scripts.ts"
import * as Harness from "./harness.ts"
import * as Partitions from "./partitions.ts"

const counts = new Map([["default", 3], ["other", 3]])
/** By the tag, so that a test says where each record lies. */
const choose = ({ tag }: JobStore.NewRecord) => Number(/^P(\d)/.exec(tag)?.[1] ?? 0)

/** Where a forwarder dies. */
type Death = readonly [verb: Verb, when: "before" | "after"]

const gone = Effect.fail(
  new JobError.JobStoreError({ reason: new JobError.OutcomeUnknown({ operation: "forward", detail: "killed" }) })
)

/** Forwarders die while `deaths` has one for the call that they make. */
const dying = (deaths: Array<Death>) => (clients: ReadonlyArray<Calls>): ReadonlyArray<Calls> =>
  clients.map((client): Calls => ({
    redis: client.redis,
    key: client.key,
    send: client.send,
    replicated: client.replicated,
    call: (operation, verb, args) => {
      const at = deaths.findIndex(([of]) => of === verb)
      if (at < 0) return client.call(operation, verb, args)
      const [[, when]] = deaths.splice(at, 1) as [Death]
      return when === "before" ? gone : Effect.andThen(client.call(operation, verb, args), gone)
    }
  }))

const on = (
  theme: string,
  run: (deaths: Array<Death>, prefix: string) => Effect.Effect<void, unknown, JobStore.JobStore>,
  given: Partial<Partitions.Options> = {}
) =>
  Effect.gen(function*() {
    const prefix = Harness.prefixOf(`forward_${theme}`)
    yield* Partitions.empty(prefix, 3)
    yield* Partitions.freeze(prefix, 3)
    const deaths: Array<Death> = []
    const clock = Harness.frozenClock
    const store = yield* Partitions.open(prefix, { counts, many: 3, clock, choose, altered: dying(deaths), ...given })
    const context = yield* Effect.context<never>()
    const exit = yield* Effect.exit(
      run(deaths, prefix).pipe(
        Effect.provideService(JobStore.JobStore, store),
        Effect.provideService(
          Advance,
          (millis: number) =>
            Effect.provideContext(Effect.orDie(Partitions.advance(prefix, 3, millis)), context as never)
        )
      )
    )
    yield* Partitions.empty(prefix, 3)
    return exit
  }).pipe(Effect.scoped, Effect.provide(Harness.client()))

const holds = (
  name: string,
  theme: string,
  run: (deaths: Array<Death>, prefix: string) => Effect.Effect<void, unknown, JobStore.JobStore>
) => it.effect(name, () => Effect.flatMap(on(theme, run), (exit) => exit), 30_000)

const points: ReadonlyArray<Death> = [
  ["outgoing", "before"],
  ["outgoing", "after"],
  ["receive", "before"],
  ["receive", "after"],
  ["sent", "before"],
  ["sent", "after"]
]

/** All that waits to be forwarded is, a second later at most. */
const settleDown = Effect.gen(function*() {
  yield* Suite.advance(1000)
  yield* Suite.maintain
})

const claimOf = (id: string) =>
  Effect.map(Suite.claim("w", 10), (claimed) => claimed.filter((one) => one.id === id).length)

const children = (deaths: Array<Death>) =>
  Effect.gen(function*() {
    for (const point of points) {
      yield* Suite.enqueue({ tag: "P0" })
      const parent = yield* Suite.claimOne("w")
      const child = Suite.record({ tag: "P2", parent: parent.id })
      deaths.push(point)
      assert.strictEqual(yield* Suite.settle("w", parent, Suite.complete, { children: [child] }), "Done")
      assert.strictEqual(deaths.length, 0, `nobody died at ${point}`)
      const store = yield* JobStore.JobStore
      const [answer] = yield* store.results([child.id])
      assert.strictEqual(answer!._tag, "Pending", `${point}: it is known while it is on its way`)
      // The settlement is sent again: its reply was lost.
      yield* Suite.settle("w", parent, Suite.complete, { children: [child] })
      yield* settleDown
      assert.strictEqual(yield* claimOf(child.id), 1, `${point}: it runs once`)
      const attempt = { id: child.id, fence: (yield* Suite.get(child.id)).fence }
      yield* Suite.settle("w", attempt, Suite.complete)
      yield* Suite.control({ _tag: "Delete" }, child.id)
      // It is gone; what is forwarded once more must not bring it back.
      yield* settleDown
      assert.isFalse(yield* Suite.exists(child.id), `${point}: it does not come back`)
    }
  })

/** Another forwarder read what one has forwarded already, and comes to send it when the record, a member of a flow, is long gone. */
const lateForwarder = (deaths: Array<Death>, _prefix: string) =>
  Effect.gen(function*() {
    yield* Suite.enqueue({ tag: "P0" })
    const child = Suite.record({ tag: "P2", flowId: "f" })
    // Whoever comes by until then dies before it removes what it has handed over.
    for (let i = 0; i < 20; i++) deaths.push(["sent", "before"])
    yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.complete, { children: [child] })
    const [claimed] = yield* Suite.claim("w", 10)
    yield* Suite.settle("w", claimed!, Suite.complete)
    yield* Suite.control({ _tag: "Delete" }, child.id)
    assert.isTrue(deaths.length > 0 && deaths.length < 20)
    deaths.length = 0
    yield* settleDown
    assert.isFalse(yield* Suite.exists(child.id), "it came back")
  })

/** A child has ended and is removed before its parent hears of that, and the parent names it again. */
const sweptChild = (deaths: Array<Death>, _prefix: string) =>
  Effect.gen(function*() {
    const { retention } = Suite.record()
    const parent = yield* Suite.enqueue({ tag: "P0" })
    const child = Suite.record({
      tag: "P2",
      queue: "other",
      retention: { ...retention, completed: { age: 0, count: 0 } }
    })
    const children = [child]
    yield* Suite.settle("w", yield* Suite.claimOne("w"), { _tag: "WaitForChildren", delay: 1000 }, { children })
    yield* Suite.advance(1000)
    const again = yield* Suite.claimOne("w")
    const attempt = yield* Suite.claimOne("w", "other")
    // Nothing is forwarded for a while.
    for (let i = 0; i < 100; i++) deaths.push(["outgoing", "before"])
    yield* Suite.settle("w", attempt, Suite.complete)
    yield* Suite.maintain
    assert.isFalse(yield* Suite.exists(child.id))
    yield* Suite.settle("w", again, { _tag: "WaitForChildren" }, { children })
    assert.strictEqual(yield* Suite.stateOf(parent.id), "blocked")
    assert.isAbove(deaths.length, 0)
    deaths.length = 0
    yield* settleDown
    yield* settleDown
    assert.strictEqual((yield* Suite.claimOne("w")).id, parent.id)
    assert.deepStrictEqual(yield* Suite.claim("w", 1, "other"), [])
  })

/** A child has changed a record that waits instead of being stored, and the parent names it again. */
const replacingChild = () =>
  Effect.gen(function*() {
    const given = { tag: "P2", queue: "other", delay: 5000 }
    const unique: JobStore.UniqueClaim = { key: "u", until: "finished", onConflict: "replace" }
    const holder = yield* Suite.enqueue({ ...given, unique })
    const parent = yield* Suite.enqueue({ tag: "P0" })
    const children = [Suite.record({ ...given, unique })]
    const wait = { _tag: "WaitForChildren", delay: 1000 } as const
    yield* Suite.settle("w", yield* Suite.claimOne("w"), wait, { children })
    yield* settleDown
    yield* Suite.settle("w", yield* Suite.claimOne("w"), { _tag: "WaitForChildren" }, { children })
    yield* Suite.advance(5000)
    const attempt = yield* Suite.claimOne("w", "other")
    assert.strictEqual(attempt.id, holder.id)
    yield* Suite.settle("w", attempt, Suite.complete)
    yield* settleDown
    assert.strictEqual((yield* Suite.claimOne("w")).id, parent.id)
  })

/** Each forwarder comes second: another one has handed over just before it. */
const twice = (clients: ReadonlyArray<Calls>): ReadonlyArray<Calls> =>
  clients.map((client): Calls => ({
    redis: client.redis,
    key: client.key,
    send: client.send,
    replicated: client.replicated,
    call: <A>(...args: Parameters<Calls["call"]>) => {
      const once = client.call<A>(...args)
      return args[1] === "receive" ? Effect.andThen(once, once) : once
    }
  }))

const flowRefused = () =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    yield* Suite.enqueue({ tag: "P0" })
    const by = yield* Suite.claimOne("w")
    const unique: JobStore.UniqueClaim = { key: "u", until: "finished", onConflict: "keep" }
    const holder = yield* Suite.enqueue({ tag: "P2", unique })
    const [leaf, sink] = [Suite.record({ tag: "P2", flowId: "f" }), Suite.record({ tag: "P2", flowId: "f", unique })]
    assert.deepStrictEqual(yield* store.enqueue({ records: [leaf, sink], whole: sink.id, by }), [
      { id: leaf.id, outcome: "Refused" },
      { id: holder.id, outcome: "UniqueConflict" }
    ])
    assert.isFalse(yield* Suite.exists(leaf.id))
  })

const again = (deaths: Array<Death>) =>
  Effect.gen(function*() {
    const states = (...all: ReadonlyArray<JobStore.Enqueued>) => Effect.forEach(all, ({ id }) => Suite.stateOf(id))
    for (const point of points) {
      const after = (id: JobStore.Enqueued["id"], given: Partial<JobStore.NewRecord>, onFailure?: "continue") =>
        Suite.enqueue({ ...given, dependencies: [{ name: "it", id, onFailure }] })
      const first = yield* Suite.enqueue({ tag: "P1" })
      const needs = yield* after(first.id, { tag: "P2" })
      const last = yield* after(needs.id, { tag: "P1" })
      const minds = yield* after(first.id, { tag: "P0", queue: "other" }, "continue")
      deaths.push(point)
      yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.dead)
      yield* settleDown
      assert.deepStrictEqual(yield* states(needs, last, minds), ["dead", "dead", "ready"], String(point))
      assert.include((yield* Suite.get(needs.id)).failures[0]!.message, first.id)
      deaths.push(point)
      yield* Suite.control({ _tag: "Retry" }, first.id)
      yield* settleDown
      assert.deepStrictEqual(yield* states(needs, last, minds), ["blocked", "blocked", "blocked"], String(point))
      for (const { id } of [first, needs, last]) {
        const claimed = yield* Suite.claim("w", 10)
        assert.deepStrictEqual(claimed.map(({ id }) => id), [id], String(point))
        if (id !== first.id) assert.deepStrictEqual(claimed[0]!.dependencies, { it: "7" })
        yield* Suite.settle("w", claimed[0]!, { _tag: "Complete", result: "7" })
        yield* settleDown
      }
      const other = yield* Suite.claimOne("w", "other")
      assert.deepStrictEqual([other.id, other.dependencies], [minds.id, { it: "7" }])
      yield* Suite.settle("w", other, Suite.complete)
    }
  })

/** No replica hears what `replicated` writes while `heard.is` is false; it is written all the same. */
const heardBy = (heard: { readonly is: boolean }) => (clients: ReadonlyArray<Calls>): ReadonlyArray<Calls> =>
  clients.map((client): Calls => ({
    redis: client.redis,
    key: client.key,
    send: client.send,
    call: client.call,
    replicated: (verb, args) => Effect.tap(client.call("enqueue", verb, args), () => heard.is ? Effect.void : gone)
  }))

/** 1 while the first partition has something for others. */
const waitsIn = (prefix: string) => Effect.provide(Harness.send<number>("EXISTS", `{${prefix}}:to`), Harness.client())

describe("what is for another partition", () => {
  it.effect("stays where it came from until a replica has it, where that is wanted", () => {
    const heard = { is: true }
    const run = (_: Array<Death>, prefix: string) =>
      Effect.gen(function*() {
        yield* Suite.enqueue({ tag: "P0" })
        const child = Suite.record({ tag: "P2" })
        heard.is = false
        yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.complete, { children: [child] })
        assert.strictEqual(yield* waitsIn(prefix), 1)
        heard.is = true
        yield* settleDown
        assert.strictEqual(yield* waitsIn(prefix), 0)
        assert.strictEqual(yield* claimOf(child.id), 1)
      })
    const options = { altered: heardBy(heard), settings: { durability: "replicated" } } as const
    return Effect.flatMap(on("heard", run, options), (exit) => exit)
  })

  holds("a child arrives once, wherever its forwarder dies", "children", children)
  holds("a child that ran and was deleted does not come back with a late forwarder", "late", lateForwarder)
  holds("a parent that names a child again goes on when that one is gone", "swept", sweptChild)

  holds(
    "a parent that waits for children elsewhere goes on once, wherever forwarders die",
    "waiting",
    (deaths) =>
      Effect.gen(function*() {
        for (const point of points) {
          yield* Suite.enqueue({ tag: "P0" })
          const parent = yield* Suite.claimOne("w")
          const theirs = [Suite.record({ tag: "P1" }), Suite.record({ tag: "P2" })]
          deaths.push(point)
          yield* Suite.settle("w", parent, { _tag: "WaitForChildren" }, { children: theirs })
          yield* settleDown
          const claimed = yield* Suite.claim("w", 10)
          assert.deepStrictEqual(claimed.map(({ id }) => id).toSorted(), theirs.map(({ id }) => id))
          assert.strictEqual(yield* Suite.stateOf(parent.id), "blocked")
          deaths.push(point)
          for (const child of claimed) {
            yield* Suite.settle("w", child, { _tag: "Complete", result: child.tag === "P1" ? "1" : undefined })
          }
          yield* settleDown
          const again = yield* Suite.claimOne("w")
          assert.strictEqual(again.id, parent.id, String(point))
          assert.deepStrictEqual(again.dependencies, { [theirs[0]!.id]: "1", [theirs[1]!.id]: undefined })
          yield* Suite.settle("w", again, Suite.complete)
          assert.strictEqual((yield* Suite.claim("w", 10)).length, 0)
        }
      })
  )

  holds(
    "a record waits for one of another partition, also for one that has ended",
    "dependencies",
    (deaths) =>
      Effect.gen(function*() {
        for (const point of points) {
          const first = yield* Suite.enqueue({ tag: "P1" })
          deaths.push(point)
          const second = yield* Suite.enqueue({ tag: "P2", dependencies: [{ name: "a", id: first.id }] })
          yield* settleDown
          yield* Suite.settle("w", yield* Suite.claimOne("w"), { _tag: "Complete", result: "7" })
          const third = yield* Suite.enqueue({ tag: "P0", dependencies: [{ name: "b", id: first.id }] })
          yield* settleDown
          const claimed = yield* Suite.claim("w", 10)
          assert.deepStrictEqual(
            claimed.map(({ dependencies, id }) => [id, dependencies]).toSorted(),
            [[second.id, { a: "7" }], [third.id, { b: "7" }]]
          )
          for (const one of claimed) yield* Suite.settle("w", one, Suite.complete)
        }
      })
  )

  holds("a record that ends badly or runs again is so for who waits for it elsewhere", "again", again)

  holds(
    "a flow that a handler starts arrives as one, and its key answers the second start",
    "flow",
    (deaths) =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        for (const [i, point] of points.entries()) {
          yield* Suite.enqueue({ tag: "P0" })
          const by = yield* Suite.claimOne("w")
          const start = (given: Partial<JobStore.NewRecord> = {}) => {
            const leaf = Suite.record({ tag: "P2", flowId: `f${i}`, ...given })
            const dependencies = [{ name: "leaf", id: leaf.id }]
            const sink = Suite.record({ tag: "P2", flowId: `f${i}`, idempotencyKey: `k${i}`, dependencies })
            return { leaf, sink, stored: store.enqueue({ records: [leaf, sink], whole: sink.id, by }) }
          }
          const first = start()
          deaths.push(point)
          yield* first.stored
          assert.strictEqual(deaths.length, 0, `nobody died at ${point}`)
          const [answer] = yield* store.results([first.leaf.id])
          assert.strictEqual(answer!._tag, "Pending", `${point}: it is known while it is on its way`)
          yield* settleDown
          const second = start()
          assert.deepStrictEqual(yield* second.stored, [
            { id: second.leaf.id, outcome: "Existing" },
            { id: first.sink.id, outcome: "Existing" }
          ])
          assert.isFalse(yield* Suite.exists(second.leaf.id))
          for (const { id } of [first.leaf, first.sink]) {
            const claimed = yield* Suite.claim("w", 10)
            assert.deepStrictEqual(claimed.map(({ id }) => id), [id], String(point))
            yield* Suite.settle("w", claimed[0]!, Suite.complete)
          }
          yield* Suite.settle("w", by, Suite.complete)
        }
      })
  )

  holds("a child that has changed another record is waited for when it is named again", "replacing", replacingChild)

  holds("a flow that a handler starts is refused as one", "flow_refused", flowRefused)

  it.effect("a forwarder that comes second answers as the first did", () =>
    Effect.gen(function*() {
      const answers = (given: Partial<Partitions.Options>) =>
        Effect.gen(function*() {
          const seen: Array<ReadonlyArray<string>> = []
          const exit = yield* on("second", () =>
            Effect.gen(function*() {
              yield* flowRefused()
              const store = yield* JobStore.JobStore
              yield* Suite.enqueue({ tag: "P1" })
              const by = (yield* Suite.claim("w", 10)).find(({ tag }) => tag === "P1")!
              for (let i = 0; i < 2; i++) {
                const records = [
                  Suite.record({ tag: "P2", flowId: `g${i}` }),
                  Suite.record({ tag: "P2", flowId: `g${i}`, idempotencyKey: "g" })
                ]
                seen.push((yield* store.enqueue({ records, whole: records[1]!.id, by })).map(({ outcome }) => outcome))
              }
              const unique: JobStore.UniqueClaim = { key: "r", until: "finished", onConflict: "replace" }
              const holder = yield* Suite.enqueue({ tag: "P2", delay: 1000, unique })
              const records = [Suite.record({ tag: "P2", delay: 1000, unique })]
              const [replaced] = yield* store.enqueue({ records, by })
              seen.push([replaced!.outcome])
              assert.strictEqual(replaced!.id, holder.id)
            }), given)
          yield* exit
          return seen
        })
      const inserted = ["Inserted", "Inserted"]
      const existing = ["Existing", "Existing"]
      assert.deepStrictEqual(yield* answers({}), [inserted, existing, ["Replaced"]])
      assert.deepStrictEqual(yield* answers({ altered: twice }), [inserted, existing, ["Replaced"]])
    }), 30_000)

  holds("what cannot go from one partition to another is refused", "refused", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const refusal = (request: JobStore.EnqueueRequest) =>
        Effect.map(Effect.flip(store.enqueue(request)), ({ message, reason }) => {
          assert.strictEqual(reason._tag, "CrossPartition", message)
          return message
        })
      const a = yield* Suite.enqueue({ tag: "P1" })
      const b = yield* Suite.enqueue({ tag: "P2", queue: "other" })
      const siblings = [{ name: "a", id: a.id, onFailure: "cancelSiblings" }, { name: "b", id: b.id }] as const
      assert.match(
        yield* refusal({ records: [Suite.record({ tag: "P2", dependencies: siblings })] }),
        /a failure cannot cancel siblings/
      )
      const one = yield* Suite.enqueue({ tag: "P1", dependencies: [{ name: "a", id: a.id }] })
      const two = yield* Suite.enqueue({ tag: "P2", dependencies: [{ name: "a", id: a.id }] })
      const added = (...waiting: ReadonlyArray<JobStore.Enqueued>) =>
        Suite.record({ tag: "P2", flowId: "f", dependents: waiting.map(({ id }) => ({ id, name: "c" })) })
      const by = yield* Suite.claimOne("w", "other")
      assert.match(yield* refusal({ records: [added(one, two)] }), /that are to wait for it lie in different ones/)
      assert.match(yield* refusal({ records: [added(one)], by }), /added to a flow by a record in another partition/)
      assert.match(yield* refusal({ records: [{ ...added(one), partitionKey: "p" }] }), /its keys choose 2/)
      // Without keys it goes where it is waited for.
      const record = added(one)
      assert.deepStrictEqual(yield* store.enqueue({ records: [record] }), [{ id: record.id, outcome: "Inserted" }])
      assert.deepStrictEqual((yield* Suite.claim("w", 10)).map(({ id }) => id).toSorted(), [a.id, record.id])
    }))

  holds("a tick stores its record in another partition once", "tick", (deaths) =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      assert.isTrue(yield* store.putSchedule({ name: "s", revision: 0, row: { nextAt: 1, body: "b" } }))
      for (const [i, point] of points.entries()) {
        const record = Suite.record({ tag: "P2", partitionKey: "p" })
        deaths.push(point)
        const tick: JobStore.TickRequest = {
          name: "s",
          revision: i + 1,
          at: i + 1,
          overlap: "allow",
          ticks: [{ at: i + 1, dueAt: i + 1, record }],
          next: { nextAt: i + 2 }
        }
        assert.strictEqual((yield* store.tick(tick))?.outcomes[0]?.id, record.id)
        assert.isUndefined(yield* store.tick(tick))
        yield* settleDown
        assert.strictEqual(yield* claimOf(record.id), 1, String(point))
      }
    }))

  holds(
    "a tick that looks at the run before is refused where that lies elsewhere",
    "overlap",
    () =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        yield* store.putSchedule({ name: "s", revision: 0, row: { nextAt: 1, body: "b" } })
        const tick = (record: JobStore.NewRecord) =>
          store.tick({
            name: "s",
            revision: 1,
            at: 1,
            overlap: "skip",
            ticks: [{ at: 1, dueAt: 1, record }],
            next: { nextAt: 2 }
          })
        const error = yield* Effect.flip(tick(Suite.record({ tag: "P2", partitionKey: "p" })))
        assert.match(error.message, /schedule s looks at the run before/)
        // Without keys it lies with its schedule.
        assert.strictEqual((yield* tick(Suite.record({ tag: "P2" })))?.outcomes[0]?.outcome, "Enqueued")
      })
  )

  holds("a child of a stale attempt is refused, wherever it belongs (P3)", "stale", () =>
    Effect.gen(function*() {
      yield* Suite.enqueue({ tag: "P0" })
      const { fence, id } = yield* Suite.claimOne("a")
      yield* Suite.advance(Suite.lease)
      yield* Suite.maintain
      const store = yield* JobStore.JobStore
      const child = Suite.record({ tag: "P2", parent: id })
      const error = yield* Effect.flip(store.enqueue({ records: [child], by: { id, fence } }))
      assert.strictEqual(error.reason._tag, "LeaseLost")
      yield* settleDown
      assert.isFalse(yield* Suite.exists(child.id))
    }))

  holds(
    "many that wait are forwarded in their order, and two forwarders at once double nothing",
    "many",
    (deaths) =>
      Effect.gen(function*() {
        yield* Suite.enqueue({ tag: "P0" })
        const theirs = Array.from({ length: 900 }, (_, i) => Suite.record({ tag: `P${1 + i % 2}` }))
        deaths.push(["outgoing", "before"])
        yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.complete, { children: theirs })
        yield* Suite.advance(1000)
        yield* Effect.all([Suite.maintain, Suite.maintain, Suite.maintain], { concurrency: 3 })
        yield* settleDown
        const claimed = yield* Suite.claim("w", 2000)
        assert.deepStrictEqual(claimed.map(({ id }) => id).toSorted(), theirs.map(({ id }) => id))
        const second = claimed.filter(({ tag }) => tag === "P2").map(({ id }) => id)
        assert.deepStrictEqual(second, second.toSorted())
      })
  )
})

describe("twins", () => {
  const twin = (verb: Verb, line: string, instead: string) => {
    const all = scripts(Harness.frozenClock, true)
    assert.strictEqual(all[verb].split(line).length, 2, `stands once in ${verb}: ${line}`)
    return { ...all, [verb]: all[verb].replace(line, () => instead) }
  }

  it.effect("a partition that does not keep what it has taken takes it twice", () =>
    Effect.gen(function*() {
      const broken = twin("receive", "if entry.number > last then", "if true then")
      assert.isTrue(Exit.isFailure(yield* on("twin", lateForwarder, { scripts: broken })))
      assert.isTrue(Exit.isSuccess(yield* on("twin", lateForwarder)))
    }))

  it.effect("a partition that does not open again what its record waits for runs it too early", () =>
    Effect.gen(function*() {
      const broken = twin("receive", "L.reopenFor(id .. number)", "")
      assert.isTrue(Exit.isFailure(yield* on("twin", again, { scripts: broken })))
      assert.isTrue(Exit.isSuccess(yield* on("twin", again)))
    }))

  it.effect("a partition that removes what it has not handed over loses it", () =>
    Effect.gen(function*() {
      const broken = twin(
        "outgoing",
        "call('LRANGE', P .. ':to:' .. to, 0, tonumber(ARGV[1]) - 1)",
        "call('LPOP', P .. ':to:' .. to, tonumber(ARGV[1])) or {}"
      )
      assert.isTrue(Exit.isFailure(yield* on("twin", children, { scripts: broken })))
    }))
})
