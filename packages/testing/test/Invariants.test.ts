/**
 * What the simulation sees of each step of the store, and that it would see what is wrong with it.
 */
import { assert, describe, it } from "@effect/vitest"
import { JobRecord, JobStore, Lifecycle } from "capstan"
import { Effect, Fiber, Latch } from "effect"
import { unreached } from "../src/internal/simulation/coverage.ts"
import { Deaths } from "../src/internal/simulation/deaths.ts"
import { Invariants } from "../src/internal/simulation/invariants.ts"
import { World } from "../src/internal/simulation/world.ts"
import * as H from "../src/internal/suite/harness.ts"

type Given = Partial<JobRecord.JobRecord>

const ended = (decision: JobRecord.Decision): JobRecord.Attempt => ({
  attempt: 1,
  worker: "w",
  startedAt: 0,
  endedAt: 0,
  decision
})

/** What the invariants make of a record that stands so before a step, and so after it. */
const step = (before: Given, after: Given) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const { id } = yield* H.enqueue()
    const record = yield* H.get(id)
    let shown: JobRecord.JobRecord = { ...record, ...before }
    const world = new World(1)
    const invariants = new Invariants(world, {
      ...store,
      query: () => Effect.succeed({ records: [shown], cursor: undefined })
    }, { strandedAfter: Infinity, mayCrash: true })
    yield* invariants.check("before")
    shown = { ...record, ...after }
    yield* invariants.check("after")
    return { events: [...world.events.keys()], violations: world.violations }
  }).pipe(Effect.provide(JobStore.layerMemory()))

const running: Given = { state: "running", fence: 1, attempt: 1 }

describe("a step of the store", () => {
  const steps: ReadonlyArray<readonly [Lifecycle.Event, Given, Given]> = [
    ["due", { state: "scheduled" }, { state: "ready" }],
    ["unblock", { state: "blocked" }, { state: "scheduled" }],
    ["claim", { state: "ready" }, running],
    ["hold", { state: "ready" }, { state: "blocked" }],
    ["complete", running, { state: "completed", fence: 2, attempt: 1, result: "1" }],
    ["retryAfter", running, { state: "scheduled", fence: 2, attempt: 1, attempts: [ended("retried")] }],
    ["snooze", running, { state: "scheduled", fence: 2, attempt: 0, attempts: [ended("snoozed")] }],
    ["waitFor", running, { state: "blocked", fence: 2, attempt: 0, attempts: [ended("waiting")] }],
    ["release", running, { state: "ready", fence: 2, attempt: 0 }],
    ["park", running, { state: "blocked", fence: 2, attempt: 0 }],
    ["bury", running, { state: "dead", fence: 2, attempt: 1, deadReason: "Failed" }],
    ["expire", { state: "scheduled" }, { state: "dead", fence: 1, deadReason: "Expired" }],
    ["dependencyFailed", { state: "blocked" }, { state: "dead", fence: 1, deadReason: "DependencyFailed" }],
    ["rescue", running, { state: "ready", fence: 2, attempt: 1, attempts: [ended("crashed")] }],
    ["quarantine", running, { state: "dead", fence: 2, attempt: 1, deadReason: "Crashed" }],
    ["cancel", { state: "ready" }, { state: "cancelled", fence: 1 }],
    ["cancelled", running, { state: "cancelled", fence: 2, attempt: 1 }],
    ["replay", { state: "dead", fence: 2, attempt: 7 }, { state: "ready", fence: 3 }],
    ["edit", { state: "ready" }, { state: "ready", fence: 1 }]
  ]

  it("of each event is here", () => {
    assert.deepStrictEqual(new Set(steps.map(([event]) => event)), new Set(Object.keys(Lifecycle.table)))
  })

  for (const [event, before, after] of steps) {
    it.effect(`that is ${event} is told, and breaks nothing`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* step(before, after), { events: [event], violations: [] })
      }))
  }

  it.effect("that rescues a record and holds it at once, for its limit is full by then, is two events", () =>
    Effect.gen(function*() {
      const held = (reason: JobRecord.BlockedReason): Given => ({
        state: "blocked",
        fence: 2,
        attempt: 1,
        attempts: [ended("crashed")],
        blocked: { reason }
      })
      assert.deepStrictEqual(yield* step(running, held("ConcurrencyKey")), { events: [], violations: [] })
      const { violations } = yield* step(running, held("Dependencies"))
      assert.isTrue(violations.some((each) => /took rescue from running to blocked/.test(each)), violations.join("\n"))
    }))

  it.effect("whose records are read is looked at before those of the next one", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const { id } = yield* H.enqueue()
      const record = yield* H.get(id)
      const gate = Latch.makeUnsafe(false)
      let shown: JobRecord.JobRecord = { ...record, state: "ready" }
      let isHeld = true
      const world = new World(1)
      const invariants = new Invariants(world, {
        ...store,
        query: () =>
          Effect.suspend(() => {
            const reply = Effect.succeed({ records: [shown], cursor: undefined })
            return isHeld ? Effect.andThen(gate.await, reply) : reply
          })
      }, { strandedAfter: Infinity, mayCrash: true })
      const slow = yield* Effect.forkChild(invariants.check("slow"), { startImmediately: true })
      isHeld = false
      shown = { ...record, ...running }
      const fast = yield* Effect.forkChild(invariants.check("fast"), { startImmediately: true })
      yield* gate.open
      yield* Fiber.join(slow)
      yield* Fiber.join(fast)
      assert.deepStrictEqual([...world.violations], [])
    }).pipe(Effect.provide(JobStore.layerMemory())))

  const wrong: ReadonlyArray<readonly [string, Given, Given, RegExp]> = [
    ["from a state that the event has not", { state: "scheduled" }, { state: "dead" }, /took dependencyFailed/],
    [
      "with a fence that stays",
      { state: "ready" },
      { state: "running", attempt: 1 },
      /claim .* moved its fence from 0 to 0/
    ],
    ["with a fence that falls", { state: "ready", fence: 3 }, { state: "ready", fence: 2 }, /the fence of .* fell/],
    [
      "with a charge for what was given back",
      running,
      { state: "ready", fence: 2, attempt: 1 },
      /release .* from 1 to 1/
    ],
    ["with no charge for a claim", { state: "ready" }, { state: "running", fence: 1 }, /claim .* attempts from 0 to 0/],
    [
      "with attempts that a replay keeps",
      { state: "dead", attempt: 2 },
      { state: "ready", fence: 1, attempt: 2 },
      /replay/
    ]
  ]
  for (const [name, before, after, violation] of wrong) {
    it.effect(`${name} breaks an invariant`, () =>
      Effect.gen(function*() {
        const { violations } = yield* step(before, after)
        assert.isTrue(violations.some((each) => violation.test(each)), violations.join("\n"))
      }))
  }
})

describe("what follows a death", () => {
  /** What is made of a record that stands so before a step, and so after it, when one has followed it. */
  const follow = (before: Given, after: Given) =>
    Effect.gen(function*() {
      const { id } = yield* H.enqueue()
      const record: JobRecord.JobRecord = { ...(yield* H.get(id)), tag: "Urgent" }
      const follower: JobRecord.JobRecord = { ...record, id: JobRecord.JobId("f"), tag: "Told", parent: id }
      const world = new World(1)
      const deaths = new Deaths()
      deaths.see(undefined, { ...record, ...before })
      deaths.see({ ...record, ...before }, { ...record, ...after })
      deaths.check(new Map([[id, record], [follower.id, follower]]), world)
      return world.violations
    }).pipe(Effect.provide(JobStore.layerMemory()))

  it.effect("that nobody looked at before the record was run again breaks nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* follow({ state: "scheduled", fence: 1 }, { state: "ready", fence: 3 }), [])
    }))

  it.effect("that there was not breaks an invariant", () =>
    Effect.gen(function*() {
      const violations = yield* follow({ state: "ready", fence: 1 }, { state: "running", fence: 2 })
      assert.match(violations.join(), /1 records follow 0 deaths/)
    }))
})

describe("what a set of runs has not reached", () => {
  it("is all of the table when nothing ran, and nothing when all of it did", () => {
    const none = { events: new Map(), transitions: new Map(), features: new Map() }
    const missing = unreached(none, true)
    assert.includeMembers([...missing], [
      ...Object.keys(Lifecycle.table),
      "running → completed",
      "blocked → ready",
      "rate of a queue is used up"
    ])
    const all = new Map(missing.map((name) => [name, 1]))
    assert.deepStrictEqual(unreached({ events: all, transitions: all, features: all }, true), [])
    all.delete("waitFor")
    assert.deepStrictEqual(unreached({ events: all, transitions: all, features: all }, true), ["waitFor"])
  })

  it("without deaths is no rescue and no quarantine", () => {
    const none = { events: new Map(), transitions: new Map(), features: new Map() }
    assert.deepStrictEqual(
      unreached(none, true).filter((name) => !unreached(none, false).includes(name)),
      ["rescue", "quarantine"]
    )
  })
})
