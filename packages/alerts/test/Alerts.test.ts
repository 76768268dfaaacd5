/** The alerts at work, in virtual time, on the memory store. */
import { type AlertChannel, AlertRule, Alerts } from "@capstan/alerts"
import { AlertChannel as Channel } from "@capstan/alerts"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobGroup, JobSchedule, JobSchedules, JobStore, JobWorker } from "capstan"
import { Effect, Latch, Layer, Option, Schema } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import { TestClock } from "effect/testing"

class Ship extends Job.make("Ship", { payload: { n: Schema.Int }, maxAttempts: 1 }) {}

const WorkerLive = JobWorker.layer(JobGroup.make(Ship), { shutdownGrace: 0 }).pipe(
  Layer.provide(Ship.toLayer(({ n }) => n < 0 ? Effect.die(new Error(`no ${n}`)) : Effect.void))
)

/** A channel that writes down what it is told, once it is there. */
const ear = () => {
  const told: Array<AlertChannel.Alert> = []
  const channel = {
    told,
    isAway: false,
    send: (alert: AlertChannel.Alert) =>
      Effect.suspend(() => {
        if (channel.isAway) return Effect.fail(new Channel.ChannelAway({ message: "away" }))
        told.push(alert)
        return Effect.void
      })
  }
  return channel
}

const said = ({ told }: ReturnType<typeof ear>) => told.map(({ key, state }) => `${state} ${key}`)

/** So many processes with the alerts, and one that works. */
const running = (
  options: Partial<Alerts.Options> & Pick<Alerts.Options, "channels">,
  processes: number,
  test: Effect.Effect<void, unknown, JobStore.JobStore>
) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const here = Layer.succeed(JobStore.JobStore, store)
    for (let i = 0; i < processes; i++) {
      yield* Layer.build(
        Layer.fresh(Alerts.layer(options)).pipe(Layer.provide(here), Layer.provide(FetchHttpClient.layer))
      )
    }
    yield* Layer.build(WorkerLive.pipe(Layer.provide(here)))
    yield* TestClock.adjust("1 minute")
    yield* test
  }).pipe(Effect.scoped, Effect.provide(JobStore.layerMemory(), { local: true }))

const rules = [AlertRule.dead({ within: "15 minutes" })]

describe("alerts", () => {
  it.effect("tell a death once, however many processes look, and its end", () => {
    const team = ear()
    return running(
      { channels: { team }, rules },
      3,
      Effect.gen(function*() {
        assert.deepStrictEqual(team.told, [])
        yield* Ship.enqueueMany([{ n: -1 }, { n: -2 }, { n: 3 }])
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(said(team), ["firing dead/Ship"])
        assert.strictEqual(team.told[0]!.title, "Ship: 2 records died")
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual(said(team), ["firing dead/Ship"])
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual(said(team), ["firing dead/Ship", "resolved dead/Ship"])
        assert.strictEqual(team.told[1]!.since, team.told[0]!.since)
        // What comes after the end is another beginning.
        yield* Ship.enqueue({ n: -4 })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(said(team).slice(2), ["firing dead/Ship"])
      })
    )
  })

  it.effect("tell again what still stands, after `repeatEvery` and not before", () => {
    const team = ear()
    const rule = AlertRule.oldestReady({ longerThan: "5 minutes" })
    return running(
      { channels: { team }, rules: [rule], repeatEvery: "1 hour" },
      1,
      Effect.gen(function*() {
        yield* Job.make("Nobody", { queue: "lonely" }).enqueue()
        yield* TestClock.adjust("6 minutes")
        assert.deepStrictEqual(said(team), ["firing oldestReady/lonely"])
        yield* TestClock.adjust("55 minutes")
        assert.strictEqual(team.told.length, 1)
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual(team.told.length, 2)
      })
    )
  })

  it.effect("a channel that is away is tried for twelve hours", () => {
    const [night, weekend] = [ear(), ear()]
    for (const channel of [night, weekend]) channel.isAway = true
    return running(
      { channels: { night, weekend }, rules: [AlertRule.dead({ within: "2 days" })], repeatEvery: "2 days" },
      1,
      Effect.gen(function*() {
        yield* Ship.enqueue({ n: -1 })
        yield* TestClock.adjust("11 hours")
        night.isAway = false
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual(said(night), ["firing dead/Ship"])
        weekend.isAway = false
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual(said(weekend), [])
      })
    )
  })

  it.effect("a channel that is away delays nobody else, and hears of an end only after the beginning", () => {
    const [away, team] = [ear(), ear()]
    away.isAway = true
    return running(
      { channels: { away, team }, rules },
      2,
      Effect.gen(function*() {
        yield* Ship.enqueue({ n: -1 })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(said(team), ["firing dead/Ship"])
        yield* TestClock.adjust("20 minutes")
        assert.deepStrictEqual(said(team), ["firing dead/Ship", "resolved dead/Ship"])
        assert.deepStrictEqual(said(away), [])
        away.isAway = false
        yield* TestClock.adjust("20 minutes")
        assert.deepStrictEqual(said(away), ["firing dead/Ship", "resolved dead/Ship"])
      })
    )
  })

  it.effect("a channel that asks to wait hears of an end only after the beginning", () => {
    const busy = ear()
    const first = { isOver: false }
    const channel: AlertChannel.AlertChannel = {
      send: (alert) =>
        Effect.suspend((): Effect.Effect<void, Channel.ChannelError> => {
          if (first.isOver) return busy.send(alert)
          first.isOver = true
          return Effect.fail(new Channel.ChannelBusy({ message: "429", retryAfter: 3_600_000 }))
        })
    }
    return running(
      { channels: { channel }, rules },
      1,
      Effect.gen(function*() {
        yield* Ship.enqueue({ n: -1 })
        // The end is found meanwhile, and the channel would take it.
        yield* TestClock.adjust("50 minutes")
        assert.deepStrictEqual(said(busy), [])
        yield* TestClock.adjust("20 minutes")
        assert.deepStrictEqual(said(busy), ["firing dead/Ship", "resolved dead/Ship"])
      })
    )
  })

  it.effect("are silent about a queue without a worker until it has been so for a while", () => {
    const team = ear()
    return running(
      { channels: { team }, rules: [AlertRule.noWorker({ for: "2 minutes" })] },
      1,
      Effect.gen(function*() {
        const lonely = Job.make("Nobody", { queue: "lonely" })
        yield* lonely.enqueue()
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(said(team), [])
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(said(team), ["firing noWorker/lonely"])
        yield* Layer.build(
          JobWorker.layer(JobGroup.make(lonely), { shutdownGrace: 0 }).pipe(
            Layer.provide(lonely.toLayer(() => Effect.void))
          )
        )
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(said(team), ["firing noWorker/lonely", "resolved noWorker/lonely"])
      }).pipe(Effect.scoped)
    )
  })

  it.effect("look at every schedule, however many there are", () => {
    const team = ear()
    return running(
      { channels: { team }, rules: [AlertRule.scheduleLate()] },
      1,
      Effect.gen(function*() {
        const { upsert } = yield* JobSchedules.JobSchedules
        for (let i = 0; i < 250; i++) yield* upsert(`a-${i}`, Ship, { every: "30 days", payload: { n: 1 } })
        yield* upsert("z", Ship, { every: "5 minutes", payload: { n: -1 } })
        yield* TestClock.adjust("7 minutes")
        assert.deepStrictEqual(team.told.map(({ title }) => title), ["schedule z: the last run is dead"])
      }).pipe(Effect.provide(JobSchedules.layer))
    )
  })

  it.effect("do not take a schedule for well that no process declares any more", () => {
    const team = ear()
    return running(
      { channels: { team }, rules: [AlertRule.scheduleLate()] },
      1,
      Effect.gen(function*() {
        const here = Layer.succeed(JobStore.JobStore, yield* JobStore.JobStore)
        const declared = JobSchedule.layer(Ship, { every: "5 minutes", payload: { n: 1 } }).pipe(Layer.provide(here))
        yield* Effect.scoped(Effect.andThen(Layer.build(declared), TestClock.adjust("7 minutes")))
        assert.deepStrictEqual(said(team), [])
        yield* TestClock.adjust("3 hours")
        assert.deepStrictEqual(said(team), ["firing schedule/Ship"])
        const { get } = yield* JobSchedules.JobSchedules
        assert.strictEqual(Option.getOrThrow(yield* get("Ship")).status, "paused")
        // It is declared again: that lifts the pause, and is the end.
        yield* Layer.build(declared)
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(said(team), ["firing schedule/Ship", "resolved schedule/Ship"])
      }).pipe(Effect.scoped, Effect.provide(JobSchedules.layer))
    )
  })

  it.effect("do not tell of their own messages that died", () => {
    const team = ear()
    const refusing = { send: () => Effect.fail(new Channel.ChannelRefused({ message: "401" })) }
    return running(
      { channels: { team, refusing }, rules },
      1,
      Effect.gen(function*() {
        yield* Ship.enqueue({ n: -1 })
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(said(team), ["firing dead/Ship"])
      })
    )
  })

  it.effect("tell once of what two rules find, and once more where one of them finds it more urgent", () => {
    const team = ear()
    const twice = [
      AlertRule.oldestReady({ longerThan: "5 minutes" }),
      AlertRule.oldestReady({ longerThan: "1 hour", severity: "critical" }),
      AlertRule.noWorker(),
      AlertRule.noWorker({ for: "10 minutes" })
    ]
    return running(
      { channels: { team }, rules: twice, repeatEvery: "4 hours" },
      1,
      Effect.gen(function*() {
        yield* Job.make("Nobody", { queue: "lonely" }).enqueue()
        yield* TestClock.adjust("20 minutes")
        const early = ["firing noWorker/lonely", "firing oldestReady/lonely"]
        assert.deepStrictEqual(said(team), early)
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual(said(team), [...early, "firing oldestReady/lonely"])
        assert.deepStrictEqual(team.told.map(({ severity }) => severity), ["critical", "warning", "critical"])
      })
    )
  })

  it.effect("tell a rise once, however often the urgency of what stands swings", () => {
    const team = ear()
    const found = (severity: "warning" | "critical") => ({ key: "own", severity, title: "own", detail: "" })
    let looks = 0
    const swinging: ReadonlyArray<AlertRule.AlertRule> = [
      { look: () => [found("warning")], forMillis: 0 },
      { look: () => ++looks % 2 === 0 ? [found("critical")] : [], forMillis: 0 }
    ]
    return running(
      { channels: { team }, rules: swinging, repeatEvery: "1 hour" },
      1,
      Effect.gen(function*() {
        yield* TestClock.adjust("30 minutes")
        assert.deepStrictEqual(team.told.map(({ severity }) => severity), ["warning", "critical"])
      })
    )
  })

  it.effect("do not tell a rise before the rule that finds it has waited long enough", () => {
    const team = ear()
    const found = (severity: "warning" | "critical") => [{ key: "own", severity, title: "own", detail: "" }]
    let looks = 0
    const rising: ReadonlyArray<AlertRule.AlertRule> = [
      { look: () => ++looks < 3 ? found("warning") : [], forMillis: 0 },
      { look: () => looks >= 3 ? found("critical") : [], forMillis: 600_000 }
    ]
    return running(
      { channels: { team }, rules: rising },
      1,
      Effect.gen(function*() {
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(team.told.map(({ severity }) => severity), ["warning"])
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual(team.told.map(({ severity }) => severity), ["warning", "critical"])
      })
    )
  })

  it.effect("tell of a rule that throws as long as it does, and go on with the others", () => {
    const team = ear()
    const broken = { is: true }
    const own: AlertRule.AlertRule = {
      look: () => {
        if (broken.is) throw new TypeError("x".repeat(9000))
        return []
      },
      forMillis: 600_000
    }
    return running(
      { channels: { team }, rules: [own, ...rules] },
      1,
      Effect.gen(function*() {
        assert.deepStrictEqual(said(team), ["firing rule/0"])
        const [{ detail, severity, title }] = team.told as [AlertChannel.Alert]
        assert.deepStrictEqual([severity, title], ["critical", "a rule of the alerts fails"])
        assert.match(detail, /^rules\[0\]: TypeError: x+…$/)
        yield* Ship.enqueue({ n: -1 })
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(said(team), ["firing rule/0", "firing dead/Ship"])
        broken.is = false
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(said(team), ["firing rule/0", "firing dead/Ship", "resolved rule/0"])
      })
    )
  })

  it.effect("take an answer that is no list of findings for a failure", () => {
    const team = ear()
    // By plain JavaScript.
    const odd = { look: () => [{ key: "own", severity: "fatal" }], forMillis: 0 } as unknown as AlertRule.AlertRule
    return running(
      { channels: { team }, rules: [...rules, odd] },
      1,
      Effect.gen(function*() {
        yield* Ship.enqueue({ n: -1 })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(said(team), ["firing rule/1", "firing dead/Ship"])
      })
    )
  })

  it.effect("do not take what a rule has found for over when it throws", () => {
    const team = ear()
    const state = { now: "found" }
    const own: AlertRule.AlertRule = {
      look: () => {
        if (state.now === "throws") throw new Error("no figures")
        return state.now === "found" ? [{ key: "own", severity: "critical", title: "own", detail: "" }] : []
      },
      forMillis: 0
    }
    return running(
      { channels: { team }, rules: [own] },
      1,
      Effect.gen(function*() {
        state.now = "throws"
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(said(team), ["firing own", "firing rule/0"])
        state.now = "over"
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(said(team).toSorted(), [
          "firing own",
          "firing rule/0",
          "resolved own",
          "resolved rule/0"
        ])
      })
    )
  })

  it.effect("a channel that never answers keeps neither the looks nor another channel waiting", () => {
    const team = ear()
    const never = Latch.makeUnsafe()
    const hanging: AlertChannel.AlertChannel = { send: () => never.await }
    const keys = Array.from({ length: 30 }, (_, i) => `own/${i}`)
    const many: AlertRule.AlertRule = {
      look: () => keys.map((key) => ({ key, severity: "critical", title: key, detail: "" })),
      forMillis: 0
    }
    return running(
      { channels: { hanging, team }, rules: [many, ...rules] },
      1,
      Effect.gen(function*() {
        assert.deepStrictEqual(said(team).toSorted(), keys.map((key) => `firing ${key}`).toSorted())
        yield* Ship.enqueue({ n: -1 })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(said(team).slice(keys.length), ["firing dead/Ship"])
        // A worker that closes would wait for it.
      }).pipe(Effect.ensuring(never.open))
    )
  })

  it.effect("try a message again that its channel has not answered for thirty seconds", () => {
    const team = ear()
    const never = Latch.makeUnsafe()
    let isAnswering = false
    const channel: AlertChannel.AlertChannel = {
      send: (alert) => Effect.suspend(() => isAnswering ? team.send(alert) : never.await)
    }
    return running(
      { channels: { channel }, rules },
      1,
      Effect.gen(function*() {
        yield* Ship.enqueue({ n: -1 })
        yield* TestClock.adjust("40 seconds")
        isAnswering = true
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(said(team), ["firing dead/Ship"])
      }).pipe(Effect.ensuring(never.open))
    )
  })

  it.effect("do not tell what a rule doubts, neither that it begins nor that it ends", () => {
    const team = ear()
    const found = { key: "own", severity: "critical", title: "own", detail: "" } as const
    const state = { now: "doubted" }
    const own: AlertRule.AlertRule = {
      look: () => state.now === "doubted" ? [{ ...found, doubt: "nowhere" }] : state.now === "found" ? [found] : [],
      forMillis: 0
    }
    return running(
      { channels: { team }, rules: [own] },
      1,
      Effect.gen(function*() {
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(said(team), [])
        state.now = "found"
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(said(team), ["firing own"])
        state.now = "doubted"
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(said(team), ["firing own"])
        state.now = "over"
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(said(team), ["firing own", "resolved own"])
      }).pipe(
        // A look that listens would keep its worker from closing.
        Effect.ensuring(Effect.suspend(() => {
          state.now = "over"
          return TestClock.adjust("1 minute")
        }))
      )
    )
  })

  describe.each(
    [
      ["nothing of it is kept", 0],
      ["as many are swept as complete", "40 seconds"],
      ["few of it are kept", { count: 5 }]
    ] as const
  )("a rate of failures, where %s", (_, completed) => {
    const Flow = Job.make("Flow", { payload: { n: Schema.Int }, maxAttempts: 1, retention: { completed } })
    const FlowLive = JobWorker.layer(JobGroup.make(Flow), { shutdownGrace: 0 }).pipe(
      Layer.provide(Flow.toLayer(({ n }) => n < 0 ? Effect.die(new Error(`no ${n}`)) : Effect.void))
    )
    /** Ten a second, of which so many die. */
    const flowing = (seconds: number, dying: number) =>
      Effect.gen(function*() {
        for (let i = 0; i < seconds; i++) {
          yield* Flow.enqueueMany(Array.from({ length: 10 }, (_, nth) => ({ n: nth < dying ? -1 : 1 })))
          yield* TestClock.adjust("1 second")
        }
      })

    it.effect("is told of a queue that fails, and not of one that is well", () => {
      const team = ear()
      return running(
        { channels: { team }, rules: [AlertRule.failureRate({ above: 0.25 })] },
        2,
        Effect.gen(function*() {
          yield* Layer.build(FlowLive)
          yield* flowing(120, 1)
          assert.deepStrictEqual(said(team), [])
          yield* flowing(75, 6)
          assert.deepStrictEqual(said(team), ["firing failureRate/default"])
          assert.strictEqual(team.told[0]!.title, "queue default: 60 % of what ends is dead")
          yield* flowing(75, 1)
          assert.deepStrictEqual(said(team), ["firing failureRate/default", "resolved failureRate/default"])
        }).pipe(
          // A look that listens would keep its worker from closing.
          Effect.ensuring(TestClock.adjust("1 minute")),
          Effect.scoped
        )
      )
    })
  })

  it.effect("tell the end of all that they have told, also through a channel that is slower than they are", () => {
    const told: Array<string> = []
    const slow: AlertChannel.AlertChannel = {
      send: ({ key, state }) =>
        Effect.andThen(Effect.sleep("9 seconds"), Effect.sync(() => told.push(`${state} ${key}`)))
    }
    // Everything at once, for one look: fifty messages for ten slots.
    const keys = Array.from({ length: 50 }, (_, i) => `own/${i}`)
    const burst: AlertRule.AlertRule = {
      look: (_, before) =>
        before === undefined ? keys.map((key) => ({ key, severity: "critical", title: key, detail: "" })) : [],
      forMillis: 0
    }
    return running(
      { channels: { slow }, rules: [burst] },
      1,
      Effect.gen(function*() {
        yield* TestClock.adjust("10 minutes")
        const last = keys.map((key) => told.findLast((one) => one.endsWith(` ${key}`)))
        assert.deepStrictEqual(last, keys.map((key) => `resolved ${key}`))
      })
    )
  })

  it.effect("tell what a rule of yours finds, however long its texts are, and all that comes after it", () => {
    const team = ear()
    const key = `own/${"k".repeat(600)}`
    const found: Array<AlertRule.AlertRule> = [{
      look: () => [{ key, severity: "warning", title: "t".repeat(3000), detail: "\u0000".repeat(300_000) }],
      forMillis: 0
    }]
    return running(
      { channels: { team, ["c".repeat(600)]: ear() }, rules: [...found, ...rules] },
      1,
      Effect.gen(function*() {
        yield* Ship.enqueue({ n: -1 })
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(said(team), [`firing ${key}`, "firing dead/Ship"])
        assert.deepStrictEqual(team.told.map(({ detail, title }) => [title.length, detail.length <= 8000])[0], [
          1024,
          true
        ])
        found.length = 0
      })
    )
  })

  /** The first message to `second` that `isHit` names is refused once: its look is tried again a second later. */
  const refusing = (store: JobStore.Shape, isHit: (payload: string) => boolean, failures: Array<string>) =>
    JobStore.JobStore.of({
      ...store,
      enqueue: (request) =>
        Effect.suspend(() => {
          const tells = request.records.some(({ payload, tag }) =>
            tag === "capstan.alerts.tell" && payload.includes("\"second\"") && isHit(payload)
          )
          if (!tells || failures.length > 0) return store.enqueue(request)
          failures.push("once")
          return Effect.fail(
            new JobError.JobStoreError({
              reason: new JobError.Unavailable({ operation: "enqueue", detail: "for a moment" })
            })
          )
        })
    })

  it.effect("say at last how it is, also where that changes while a look is tried again", () => {
    const [first, second] = [ear(), ear()]
    let isBad = true
    const own: AlertRule.AlertRule = {
      look: () => isBad ? [{ key: "own", severity: "critical", title: "own", detail: "" }] : [],
      forMillis: 0
    }
    return Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const failures: Array<string> = []
      const failing = refusing(store, (payload) => {
        const isOver = payload.includes("resolved")
        // By the time of the second attempt it stands again.
        if (isOver) isBad = true
        return isOver
      }, failures)
      yield* Layer.build(
        Alerts.layer({ channels: { first, second }, rules: [own] }).pipe(
          Layer.provide(Layer.succeed(JobStore.JobStore, failing)),
          Layer.provide(FetchHttpClient.layer)
        )
      )
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([said(first), said(second)], [["firing own"], ["firing own"]])
      isBad = false
      yield* TestClock.adjust("3 minutes")
      assert.deepStrictEqual(failures, ["once"])
      const all = ["firing own", "resolved own", "firing own"]
      assert.deepStrictEqual([said(first), said(second)], [all, all])
    }).pipe(Effect.scoped, Effect.provide(JobStore.layerMemory(), { local: true }))
  })

  it.effect("tell nothing twice when a look is tried again", () => {
    const [first, second] = [ear(), ear()]
    return Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const failures: Array<string> = []
      const failing = refusing(store, () => true, failures)
      const alerts = Alerts.layer({ channels: { first, second }, rules }).pipe(
        Layer.provide(Layer.succeed(JobStore.JobStore, failing)),
        Layer.provide(FetchHttpClient.layer)
      )
      yield* Layer.build(alerts)
      yield* Layer.build(WorkerLive.pipe(Layer.provide(Layer.succeed(JobStore.JobStore, store))))
      yield* TestClock.adjust("1 minute")
      yield* Ship.enqueue({ n: -1 })
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(failures, ["once"])
      assert.deepStrictEqual([said(first), said(second)], [["firing dead/Ship"], ["firing dead/Ship"]])
    }).pipe(Effect.scoped, Effect.provide(JobStore.layerMemory(), { local: true }))
  })
})
