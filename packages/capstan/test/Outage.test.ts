import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobError, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Clock, Effect, Exit, Fiber, Latch, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, storeWith, withOnly } from "./harness.ts"

class Task extends Job.make("Task", { timeout: "infinite" }) {}
const group = JobGroup.make(Task)

/** The memory store, which one can take away: all of it, or these verbs. */
const fragile = (...verbs: ReadonlyArray<"exchange" | "renew" | "maintain">) => {
  const state = { isAway: false }
  const away = new JobError.JobStoreError({ reason: new JobError.Unavailable({ operation: "any", detail: "test" }) })
  const guarded = <A>(verb: (typeof verbs)[number], call: Effect.Effect<A, JobError.JobStoreError>) =>
    Effect.suspend(() => state.isAway && (verbs.length === 0 || verbs.includes(verb)) ? Effect.fail(away) : call)
  const layer = storeWith((store) => ({
    exchange: (request) => guarded("exchange", store.exchange(request)),
    renew: (request) => guarded("renew", store.renew(request)),
    maintain: guarded("maintain", store.maintain)
  }))
  return { state, layer }
}

describe("a request that arrives twice", () => {
  it.effect("claims what the worker does not know of: an idle worker finds it, and no crash is charged (P14)", () => {
    let isFirst = true
    const doubling = Layer.effect(
      JobStore.JobStore,
      Effect.map(JobStore.JobStore, (store): JobStore.Shape => ({
        ...store,
        notifications: "hint",
        exchange: (request) => {
          if (!isFirst || request.total === 0) return store.exchange(request)
          isFirst = false
          return Effect.tap(store.exchange(request), store.exchange(request))
        }
      }))
    ).pipe(Layer.provide(JobStore.layerMemory()), (layer) => Layer.provideMerge(Jobs.layer, layer))
    const worker = withOnly(group, Task.toLayer(() => Effect.void), { concurrency: 1, lease: "30 seconds" })
    return Effect.gen(function*() {
      yield* Task.enqueueMany([undefined, undefined])
      yield* Layer.build(worker)
      yield* settle
      const jobs = yield* Jobs.Jobs
      const states = Effect.map(jobs.query({ order: "oldest" }), ({ records }) => records.map(({ state }) => state))
      assert.deepStrictEqual(yield* states, ["completed", "running"])
      yield* TestClock.adjust("25 seconds")
      const { records } = yield* jobs.query({ order: "oldest" })
      assert.deepStrictEqual(records.map(({ crashes, state }) => [state, crashes]), [["completed", 0], [
        "completed",
        0
      ]])
    }).pipe(Effect.scoped, Effect.provide(doubling))
  })
})

describe("a store of several places", () => {
  /** A store that says which renewals its claims are, and how often it was asked for one. */
  const renewing = (renewsLease: boolean | undefined) => {
    const asked = { times: 0 }
    const layer = storeWith((store) => ({
      notifications: "hint",
      exchange: (request) => Effect.map(store.exchange(request), (reply) => ({ ...reply, renewsLease })),
      renew: (request) => {
        asked.times++
        return store.renew(request)
      }
    }))
    return { asked, layer }
  }

  /** Renewals of twelve seconds by a worker with a lease of six that claims each second. */
  const renewalsOf = (renewsLease: boolean | undefined) => {
    const { asked, layer } = renewing(renewsLease)
    return Effect.gen(function*() {
      yield* Layer.build(withOnly(group, Task.toLayer(() => Effect.void), { lease: "6 seconds" }))
      yield* settle
      assert.strictEqual(asked.times, 1, "it registers once")
      asked.times = 0
      for (let second = 0; second < 12; second++) {
        yield* Task.enqueue()
        yield* TestClock.adjust("1 second")
      }
      return asked.times
    }).pipe(Effect.scoped, Effect.provide(layer))
  }

  it.effect("is asked for renewals on time, however often the worker claims there", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* renewalsOf(false), 6)
      // Where a claim renews the lease, nobody asks for more.
      assert.strictEqual(yield* renewalsOf(undefined), 0)
    }))
})

describe("an outage of the store", () => {
  it.effect("degrades the worker's health, loses no settlement, and ends by itself (P13)", () => {
    const { layer, state } = fragile()
    const gate = Latch.makeUnsafe(false)
    let runs = 0
    const handler = Effect.andThen(Effect.sync(() => runs++), gate.await)
    return Effect.gen(function*() {
      const { health } = yield* JobWorker.JobWorker
      const first = yield* Task.enqueue()
      yield* settle
      state.isAway = true
      yield* gate.open
      yield* settle
      assert.strictEqual((yield* health).status, "degraded")
      assert.include((yield* health).lastError ?? "", "unavailable")
      const second = yield* Task.enqueue()
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* recordOf(first.id)).state, "running")
      state.isAway = false
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* health).status, "ready")
      for (const { id } of [first, second]) assert.strictEqual((yield* recordOf(id)).state, "completed")
      assert.strictEqual(runs, 2)
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => handler)), layer)))
  })

  it.effect("makes the worker fence itself before its lease ends, and the record runs again (P4)", () => {
    const { layer, state } = fragile()
    const interruptedAt: Array<number> = []
    let runs = 0
    const handler = Effect.suspend(() =>
      runs++ > 0 ?
        Effect.void :
        Effect.onInterrupt(Effect.never, () =>
          Effect.clockWith((clock) => Effect.sync(() => void interruptedAt.push(clock.currentTimeMillisUnsafe()))))
    )
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue()
      yield* settle
      state.isAway = true
      yield* TestClock.adjust("40 seconds")
      assert.deepStrictEqual(interruptedAt, [24_000])
      assert.strictEqual((yield* recordOf(id)).state, "running")
      state.isAway = false
      yield* TestClock.adjust("10 seconds")
      const record = yield* recordOf(id)
      assert.deepStrictEqual([record.state, record.attempt], ["completed", 2])
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => handler)), layer)))
  })

  it.effect("a handler that cannot be interrupted is lost all the same, and is waited for without a busy loop", () => {
    const { layer, state } = fragile()
    const ended: Array<string> = []
    const handler = Effect.uninterruptible(Effect.andThen(
      Effect.sleep("26 seconds"),
      Effect.sync(() => void ended.push("handler"))
    ))
    let looks = 0
    const counting = Layer.effect(
      Clock.Clock,
      Effect.clockWith((clock) =>
        Effect.succeed(Object.assign(Object.create(clock) as Clock.Clock, {
          monotonicTimeNanosUnsafe: () => {
            looks++
            return clock.monotonicTimeNanosUnsafe()
          }
        }))
      )
    )
    const worker = withOnly(group, Task.toLayer(() => handler), { interruptGrace: "5 seconds" })
    return Effect.gen(function*() {
      const { health } = yield* JobWorker.JobWorker
      const { id } = yield* Task.enqueue()
      yield* settle
      state.isAway = true
      yield* TestClock.adjust("25 seconds")
      assert.deepStrictEqual([ended, (yield* health).running], [[], 1])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual([ended, (yield* health).running], [["handler"], 0])
      assert.strictEqual((yield* recordOf(id)).state, "running")
      // A keeper that looks again at once, because the fence has passed, reads the clock 100,000 times in that second.
      assert.isBelow(looks, 500)
    }).pipe(Effect.provide(Layer.provideMerge(Layer.provide(worker, counting), layer)))
  })

  it.effect("an attempt that was lost and cannot be interrupted frees its slot, though its record runs here again", () => {
    const { layer, state } = fragile("renew")
    let runs = 0
    const stuck = Latch.makeUnsafe(false)
    const handler = Effect.suspend(() => ++runs === 1 ? Effect.uninterruptible(stuck.await) : Effect.sleep("5 minutes"))
    return Effect.gen(function*() {
      const { health } = yield* JobWorker.JobWorker
      const { cancel } = yield* Task.enqueue()
      yield* settle
      state.isAway = true
      yield* TestClock.adjust("40 seconds")
      state.isAway = false
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(runs, 2)
      const { abandoned, running } = yield* health
      assert.deepStrictEqual({ abandoned, running }, { abandoned: 1, running: 1 })
      yield* cancel({ reason: "enough" })
      yield* settle
      assert.strictEqual((yield* health).running, 0)
    }).pipe(
      Effect.provide(
        Layer.provideMerge(withOnly(group, Task.toLayer(() => handler), { interruptGrace: "20 seconds" }), layer)
      )
    )
  })

  it.effect("lets a worker start without its store", () => {
    const { layer, state } = fragile()
    state.isAway = true
    return Effect.gen(function*() {
      const { awaitReady, health } = yield* JobWorker.JobWorker
      yield* settle
      assert.strictEqual((yield* health).status, "degraded")
      state.isAway = false
      yield* TestClock.adjust("5 seconds")
      yield* awaitReady
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => Effect.void)), layer)))
  })
})

describe("a store elsewhere that does not answer", () => {
  /** Calls of this verb never end while `state.isSilent`. */
  const silent = (verb: "renew" | "write" | "maintain") => {
    const state = { isSilent: true, calls: 0 }
    const layer = storeWith((store) => {
      const call = <A>(effect: Effect.Effect<A, JobError.JobStoreError>) =>
        Effect.suspend(() => (state.calls++, state.isSilent ? Effect.never : effect))
      return {
        notifications: "hint",
        ...(verb === "maintain" ? { maintain: call(store.maintain) } : {}),
        ...(verb === "renew" ? { renew: (request) => call(store.renew(request)) } : {}),
        ...(verb === "write" ? { write: (entries) => call(store.write(entries)) } : {})
      }
    })
    return { state, layer }
  }

  /** So that the worker can close: what is under way is given up, and asked anew. */
  const answerAgain = (state: { isSilent: boolean }) =>
    Effect.suspend(() => {
      state.isSilent = false
      return TestClock.adjust("30 seconds")
    })

  it.effect("to a renewal: the keeper goes on, timeouts hold, and the worker fences itself", () => {
    class Brief extends Job.make("Brief", { timeout: "15 seconds", maxAttempts: 1 }) {}
    const { layer, state } = silent("renew")
    state.isSilent = false
    const stopped: Array<readonly [string, number]> = []
    const note = (name: string) =>
      Effect.onInterrupt(
        Effect.never,
        () => Effect.clockWith((clock) => Effect.sync(() => void stopped.push([name, clock.currentTimeMillisUnsafe()])))
      )
    const both = JobGroup.make(Task, Brief)
    return Effect.gen(function*() {
      yield* Brief.enqueue()
      yield* Task.enqueue()
      yield* settle
      state.isSilent = true
      yield* TestClock.adjust("24 seconds")
      assert.deepStrictEqual(stopped, [["brief", 15_000], ["task", 24_000]])
      yield* answerAgain(state)
    }).pipe(
      Effect.provide(
        Layer.provideMerge(
          withOnly(both, both.toLayer({ Task: () => note("task"), Brief: () => note("brief") })),
          layer
        )
      )
    )
  })

  it.effect("to a renewal: a record never runs twice at a time", () => {
    const { layer, state } = silent("renew")
    state.isSilent = false
    let running = 0
    let most = 0
    let runs = 0
    const handler = Effect.acquireUseRelease(
      Effect.sync(() => (runs++, most = Math.max(most, ++running))),
      () => Effect.never,
      () => Effect.sync(() => running--)
    )
    return Effect.gen(function*() {
      yield* Task.enqueue()
      yield* settle
      state.isSilent = true
      yield* TestClock.adjust("2 minutes")
      assert.isAbove(runs, 1)
      assert.strictEqual(most, 1)
      yield* answerAgain(state)
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => handler)), layer)))
  })

  it.effect("to the registration: it is asked again", () => {
    const { layer, state } = silent("renew")
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue()
      yield* TestClock.adjust("1 second")
      state.isSilent = false
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual((yield* recordOf(id)).state, "completed")
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => Effect.void)), layer)))
  })

  it.effect("to a write: attempts are settled all the same", () => {
    const { layer, state } = silent("write")
    const handler = Effect.flatMap(JobContext.JobContext, ({ log }) => log("line"))
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* recordOf(id)).state, "completed")
      yield* answerAgain(state)
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => handler)), layer)))
  })

  it.effect("to maintenance: it is asked again", () => {
    const { layer, state } = silent("maintain")
    class Short extends Job.make("Short", { retention: { completed: "1 minute" } }) {}
    const worker = withOnly(JobGroup.make(Short), Short.toLayer(() => Effect.void))
    return Effect.gen(function*() {
      const { id } = yield* Short.enqueue()
      yield* TestClock.adjust("61 seconds")
      assert.isAbove(state.calls, 0)
      state.isSilent = false
      yield* TestClock.adjust("15 seconds")
      const jobs = yield* Jobs.Jobs
      assert.strictEqual((yield* jobs.get(id))._tag, "None")
    }).pipe(Effect.provide(Layer.provideMerge(worker, layer)))
  })
})

describe("a listener that fails", () => {
  it.effect("starts again, and what came while nobody listened is found", () => {
    const broken = Latch.makeUnsafe(false)
    let isFirst = true
    const store = storeWith((store) => ({
      wakeups: (worker, queues) => {
        if (!isFirst) return store.wakeups(worker, queues)
        isFirst = false
        return Stream.fromEffect(Effect.andThen(broken.await, Effect.die("connection bug")))
      }
    }))
    let started = 0
    const handler = Effect.suspend(() => (started++, Effect.never))
    return Effect.gen(function*() {
      const { health } = yield* JobWorker.JobWorker
      yield* settle
      yield* broken.open
      const { cancel } = yield* Task.enqueue()
      yield* settle
      assert.strictEqual(started, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(started, 1)
      yield* cancel({ reason: "enough" })
      yield* settle
      assert.strictEqual((yield* health).running, 0)
    }).pipe(
      Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => handler), { concurrency: 1 }), store))
    )
  })
})

describe("an await", () => {
  const broken: ReadonlyArray<readonly [string, () => Effect.Effect<never>]> = [
    ["the store throws", () => {
      throw new TypeError("driver bug")
    }],
    ["the store answers what cannot be read", () => Effect.succeed(undefined as never)]
  ]
  for (const [when, answer] of broken) {
    it.effect(`fails when ${when}, and the next one is answered`, () => {
      let isBroken = true
      const store = storeWith((store) => ({
        results: (ids) => {
          if (!isBroken) return store.results(ids)
          isBroken = false
          return answer()
        }
      }))
      return Effect.gen(function*() {
        const handle = yield* Task.enqueue()
        yield* settle
        const first = yield* Effect.forkChild(Effect.exit(handle.await))
        yield* settle
        assert.isTrue(Exit.hasDies(yield* Fiber.join(first)))
        yield* handle.await
      }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => Effect.void)), store)))
    })
  }
})
