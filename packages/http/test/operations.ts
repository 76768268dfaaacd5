/** What the API does on every store with limits, schedules and payloads, and what it tells of the newest records. */
import { assert } from "@effect/vitest"
import { Flow, type JobSchedules, type JobStore } from "capstan"
import { Effect, Option, Redacted, Schedule, type Scope } from "effect"
import { Bill, Call, Greet, type Served, worked } from "./harness.ts"
import { hourly } from "./matrix.ts"

class Party extends Flow.make("Party").list("greetings", Greet).node("bill", Bill, { after: { greetings: "fail" } }) {}

type Fact = (
  name: string,
  run: (
    served: Served
  ) => Effect.Effect<void, unknown, JobStore.JobStore | JobSchedules.JobSchedules | Scope.Scope>
) => void

export const operations = (fact: Fact): void => {
  fact("a limit of a queue is set by hand, holds, and is cleared", ({ audited, client }) =>
    Effect.gen(function*() {
      const { limits } = yield* client("operator")
      const of = { queue: "mail" }
      const set = yield* limits.set({
        payload: { of, settings: { concurrency: 3, rate: { limit: 10, perMillis: 1000 } } }
      })
      assert.deepStrictEqual(set.holds, { concurrency: 3, rate: { limit: 10, perMillis: 1000, burst: 1 } })
      assert.deepStrictEqual(set.override, set.holds)
      assert.deepStrictEqual((yield* limits.list()).limits.find((one) => "queue" in one.of)?.holds, set.holds)
      const cleared = yield* limits.clear({ payload: { of } })
      assert.deepStrictEqual([cleared.holds, cleared.override], [{}, undefined])
      const refused = yield* Effect.flip(limits.set({ payload: { of, settings: { concurrency: -1 } } }))
      assert.strictEqual(refused._tag, "BadRequest")
      const steep = { rate: { limit: 2, perMillis: 1000, burst: 3 } }
      const burst = yield* Effect.flip(limits.set({ payload: { of, settings: steep } }))
      assert.include(burst._tag === "BadRequest" ? burst.detail : burst._tag, "rate.burst")
      assert.deepStrictEqual(audited.map(({ action, outcome: { _tag }, where }) => [action, where, _tag]), [
        ["limit", of, "Done"],
        ["limit", of, "Done"],
        ["limit", of, "Failed"],
        ["limit", of, "Failed"]
      ])
    }))

  fact(
    "the keys of a limit say how they stand, to who may see all queues",
    ({ ask, client }) =>
      Effect.gen(function*() {
        const { limits } = yield* client("viewer")
        yield* Call.enqueueMany([{ account: "a" }, { account: "a" }, { account: "b" }])
        yield* (yield* client("operator")).limits.set({
          payload: { of: { key: "calls" }, settings: { concurrency: 1 } }
        })
        const { isCut, keys } = yield* limits.keys({ params: { name: "calls" } })
        assert.isFalse(isCut)
        assert.deepStrictEqual(keys.map(({ key }) => key), ["a", "b"])
        assert.deepStrictEqual(keys.map(({ ready, running, waiting }) => ready + running + waiting), [2, 1])
        assert.strictEqual((yield* ask("mailAdmin", "/limits/calls/keys")).status, 403)
        const seen = yield* ask("mailAdmin", "/limits")
        assert.notInclude(JSON.stringify(seen.body), "calls")
        const set = yield* ask("mailAdmin", "/limits/set", { of: { key: "calls" }, settings: { concurrency: 2 } })
        assert.strictEqual(set.status, 403)
      })
  )

  fact(
    "records are found, counted and changed by what is inside of their payloads, of which nothing masked is told",
    ({ ask, audited, client, jobs }) =>
      Effect.gen(function*() {
        const { records } = yield* client("viewer")
        const all = yield* Greet.enqueueMany([
          { name: "ada", card: Redacted.make("4242") },
          { name: "bob" },
          { name: "ada" }
        ])
        yield* Bill.enqueueMany([{ amount: 3 }, { amount: 4 }])
        const found = (payload: Record<string, string | number>, more: object = { tag: "Greet" }) =>
          Effect.map(
            records.list({ query: { order: "oldest", ...more, payload } }),
            ({ records }) => records.map(({ id }) => all.findIndex((one) => one.id === id))
          )
        assert.deepStrictEqual(yield* found({ "/name": "ada" }), [0, 2])
        assert.deepStrictEqual(yield* found({ "/card": "4242" }), [])
        assert.deepStrictEqual(yield* found({ "/card": "<redacted>" }), [0])
        assert.strictEqual((yield* found({ "/amount": 3 }, { tag: "Bill" })).length, 1)
        assert.deepStrictEqual(yield* found({ "/amount": "3" }, { tag: "Bill" }), [])
        const alone = yield* Effect.flip(found({ "/name": "ada" }, {}))
        assert.strictEqual(alone._tag, "BadRequest")
        assert.include(alone.message, "another condition")

        const where = { queue: "mail", payload: { "/name": "ada" } }
        const counted = yield* records.count({ query: { ...where, action: "cancel" } })
        assert.deepInclude(counted, { matched: 2, applies: 2, isAtLeast: false })
        const guessed = yield* records.count({
          query: { queue: "mail", payload: { "/card": "4242" }, action: "cancel" }
        })
        assert.deepInclude(guessed, { matched: 0 })

        const operator = (yield* client("operator")).records
        const nobody = { queue: "mail", payload: { "/card": "4242" } }
        assert.deepInclude(yield* operator.cancel({ payload: { where: nobody, reason: "r" } }), { changed: 0 })
        assert.deepInclude(yield* operator.cancel({ payload: { where, reason: "r" } }), { changed: 2, notFound: 0 })
        const states = yield* Effect.forEach(
          all,
          ({ id }) => Effect.map(jobs.get(id), (record) => Option.getOrThrow(record).state)
        )
        assert.deepStrictEqual(states, ["cancelled", "ready", "cancelled"])
        assert.deepStrictEqual(audited.at(-1)?.where, where)
        const refused = yield* Effect.flip(operator.retry({ payload: { where: { payload: { "/name": "ada" } } } }))
        assert.include(refused.message, "another condition")

        // Where a page ends would tell of the payloads of a queue that one may not see.
        const query = `payload=${encodeURIComponent("{\"/amount\":3}")}`
        assert.strictEqual((yield* ask("mailAdmin", `/records?tag=Bill&${query}`)).status, 403)
        assert.strictEqual((yield* ask("mailAdmin", `/records?queue=billing&${query}`)).status, 403)
        assert.strictEqual((yield* ask("mailAdmin", `/records?queue=mail&${query}`)).status, 200)
        assert.strictEqual((yield* ask("viewer", "/records?tag=Bill&payload=%7B")).status, 400)
      })
  )

  fact(
    "a condition that nobody knows is refused, so that no more is met than was meant",
    ({ ask, jobs }) =>
      Effect.gen(function*() {
        const { id } = yield* Greet.enqueue({ name: "a" })
        const where = { queue: "mail", sates: ["dead"] }
        const answers = yield* Effect.all([
          ask("admin", "/records/delete", { where }),
          ask("admin", "/queues/mail/purge", { enqueuedUntil: 0 }),
          ask("admin", "/records?queue=mail&sates=dead"),
          ask("admin", "/records/count?queue=mail&sates=dead&action=delete")
        ])
        assert.deepStrictEqual(
          answers.map(({ body, status }) => [status, body._tag]),
          answers.map(() => [400, "BadRequest"])
        )
        assert.include(answers[0]!.body.detail, "sates")
        assert.isTrue(Option.isSome(yield* jobs.get(id)))
      })
  )

  fact("a schedule is listed, paused, resumed, run and removed", ({ ask, client, jobs }) =>
    Effect.gen(function*() {
      yield* hourly
      const { schedules } = yield* client("admin")
      const payload = { name: "hourly" }
      const only = Effect.map(schedules.list({ query: {} }), ({ schedules }) => schedules[0]!)
      assert.deepInclude(yield* only, { name: "hourly", job: "Greet", queue: "mail", origin: "data", status: "active" })
      assert.isDefined((yield* only).next)
      assert.deepStrictEqual(yield* schedules.pause({ payload }), { changed: true })
      assert.deepStrictEqual(yield* schedules.pause({ payload }), { changed: false })
      assert.deepInclude((yield* only).paused, { reason: "Operator" })
      assert.deepStrictEqual(yield* schedules.resume({ payload }), { changed: true })
      const { id, outcome } = yield* schedules.run({ payload })
      assert.strictEqual(outcome, "Enqueued")
      assert.strictEqual(Option.getOrUndefined(yield* jobs.get(id!))?.tag, "Greet")
      assert.strictEqual((yield* ask("operator", "/schedules/remove", payload)).status, 403)
      assert.deepStrictEqual(yield* schedules.remove({ payload }), { changed: true })
      assert.deepInclude(yield* Effect.flip(schedules.pause({ payload })), { _tag: "ScheduleNotFound", name: "hourly" })
    }))

  fact(
    "a payload is edited through its schema, keeps what is masked, and runs again",
    ({ audited, client, jobs }) =>
      Effect.gen(function*() {
        const { records } = yield* client("operator")
        const { await: ended, id } = yield* Greet.enqueue({ name: "nobody", card: Redacted.make("4242") })
        yield* worked(Effect.flip(ended))
        const shown = (yield* records.get({ params: { id }, query: {} })).payload.text
        assert.deepStrictEqual(JSON.parse(shown), { name: "nobody", card: "<redacted>" })
        const wrong = yield* Effect.flip(records.edit({ payload: { id, payload: "{\"name\":7}" } }))
        assert.deepInclude(wrong, { _tag: "BadRequest" })
        assert.include(wrong.message, "name")
        const edited = yield* records.edit({ payload: { id, payload: shown.replace("nobody", "you") } })
        assert.deepStrictEqual(edited, { outcome: "Changed" })
        const done = yield* worked(Greet.handle(id).await)
        assert.deepStrictEqual(done, { greeting: "Hello, you!" })
        const record = Option.getOrThrow(yield* jobs.get(id))
        assert.deepStrictEqual(JSON.parse(record.payload), { name: "you", card: "<redacted>" })
        assert.notInclude(JSON.stringify(audited), "4242")
        assert.deepStrictEqual(audited.map(({ action, outcome: { _tag } }) => [action, _tag]), [
          ["edit", "Failed"],
          ["edit", "Done"]
        ])
      })
  )

  fact(
    "a record is enqueued through its job's schema, by who may, and that is written down",
    ({ ask, audited, client, jobs }) =>
      Effect.gen(function*() {
        const { records } = yield* client("operator")
        const enqueue = (payload: object, more: object = {}) =>
          records.enqueue({ payload: { job: "Greet", payload: JSON.stringify(payload), ...more } })
        const wrong = yield* Effect.flip(enqueue({ name: 7, card: [] }))
        assert.strictEqual(wrong._tag, "BadRequest")
        const { issues = [] } = wrong._tag === "BadRequest" ? wrong : {}
        assert.deepStrictEqual(issues.map(({ pointer }) => pointer), ["/name", "/card"])
        assert.include(issues[0]!.message, "string")
        const missing = yield* Effect.flip(enqueue({}))
        assert.deepStrictEqual(missing._tag === "BadRequest" && missing.issues?.map(({ pointer }) => pointer), [
          "/name"
        ])
        const noJson = yield* Effect.flip(records.enqueue({ payload: { job: "Greet", payload: "{" } }))
        assert.include(noJson.message, "no JSON")
        const unknown = yield* Effect.flip(records.enqueue({ payload: { job: "Nobody", payload: "{}" } }))
        assert.include(unknown.message, "mount the API with its group")
        const steep = yield* Effect.flip(enqueue({ name: "you" }, { priority: 101 }))
        assert.include(steep.message, "priority")

        const options = { idempotencyKey: "once", tags: ["by hand"], delay: 3_600_000 }
        const made = yield* enqueue({ name: "you", card: "4242" }, options)
        assert.strictEqual(made.outcome, "Inserted")
        assert.deepStrictEqual(yield* enqueue({ name: "you" }, options), { id: made.id, outcome: "Existing" })
        const record = Option.getOrThrow(yield* jobs.get(made.id))
        assert.deepInclude(record, { tag: "Greet", queue: "mail", state: "scheduled", idempotencyKey: "once" })
        assert.include(record.tags, "by hand")
        assert.deepStrictEqual(JSON.parse(record.payload), { name: "you", card: "<redacted>" })

        const { id } = yield* enqueue({ name: "you" })
        assert.deepStrictEqual(yield* worked(Greet.handle(id).await), {
          greeting: "Hello, you!"
        })
        const bill = { job: "Bill", payload: "{\"amount\":1}" }
        assert.strictEqual((yield* ask("mailAdmin", "/records/enqueue", bill)).status, 400)
        assert.strictEqual((yield* ask("viewer", "/records/enqueue", bill)).status, 403)
        assert.strictEqual((yield* ask("admin", "/records/enqueue", bill)).status, 200)
        assert.notInclude(JSON.stringify(audited), "4242")
        assert.deepStrictEqual(
          audited.map((
            { action, outcome, principal, where }
          ) => [principal, action, where.tag, where.queue, outcome._tag]),
          [
            ...["Greet", "Greet", "Greet"].map((tag) => ["operator", "enqueue", tag, "mail", "Failed"]),
            ["operator", "enqueue", "Nobody", undefined, "Failed"],
            ["operator", "enqueue", "Greet", "mail", "Failed"],
            ...["Done", "Done", "Done"].map((tag) => ["operator", "enqueue", "Greet", "mail", tag]),
            ["mailAdmin", "enqueue", "Bill", "billing", "Refused"],
            ["viewer", "enqueue", "Bill", "billing", "Refused"],
            ["admin", "enqueue", "Bill", "billing", "Done"]
          ]
        )
        assert.deepStrictEqual(audited.flatMap(({ outcome }) => outcome._tag === "Done" ? [outcome.changed] : []), [
          1,
          0,
          1,
          1
        ])
      })
  )

  fact(
    "the newest records say which jobs there are, what fails and which flows",
    ({ client }) =>
      Effect.gen(function*() {
        const { insight } = yield* client("viewer")
        const { id } = yield* Party.start({ greetings: [{ name: "nobody" }, { name: "you" }], bill: { amount: 1 } })
        const ended = Effect.repeat(
          Effect.flatMap(insight.flow({ params: { id } }), ({ counts }) => Effect.succeed(counts)),
          {
            schedule: Schedule.spaced("20 millis"),
            until: ({ completed, dead }) => completed + dead === 3
          }
        )
        yield* worked(ended)
        const flow = yield* insight.flow({ params: { id } })
        assert.deepInclude(flow, { id, name: "Party", isCut: false })
        assert.deepInclude(flow.counts, { completed: 1, dead: 2 })
        assert.deepStrictEqual(flow.nodes.map(({ after, isList, name }) => [name, isList, after]), [
          ["greetings", true, {}],
          ["bill", false, { greetings: "fail" }]
        ])
        assert.deepStrictEqual(flow.nodes[0]!.records.map(({ state }) => state), ["dead", "completed"])
        const { flows } = yield* insight.flows()
        assert.deepStrictEqual(flows.map(({ id, name }) => [id, name]), [[id as string, "Party"]])
        const { jobs, looked } = yield* insight.jobs()
        assert.strictEqual(looked, 3)
        const greet = jobs.find(({ job }) => job === "Greet")
        assert.deepInclude(greet, { queues: ["mail"], attempts: 2, failures: 1 })
        assert.isAtLeast(greet!.run!.p95, 0)
        const { errors } = yield* insight.errors()
        assert.sameDeepMembers(errors.map(({ dead, job, kind, tag }) => [job, kind, tag, dead]), [
          ["Greet", "Declared", "Declined", 1],
          ["Bill", "Dependency", errors.find(({ job }) => job === "Bill")?.tag, 1]
        ])
        assert.deepStrictEqual((yield* insight.declarations()).jobs.map(({ job }) => job), ["Greet", "Bill", "Call"])
        const unknown = "01890000-0000-7000-8000-000000000000"
        assert.strictEqual((yield* Effect.flip(insight.flow({ params: { id: unknown } })))._tag, "RecordNotFound")
      })
  )

  fact("the last half hour begins with the first who asks", ({ ask, client }) =>
    Effect.gen(function*() {
      yield* Greet.enqueueMany([{ name: "a" }, { name: "b" }])
      const { stats } = yield* client("viewer")
      const { samples } = yield* stats.series({ query: {} })
      assert.strictEqual(samples.length, 1)
      assert.deepInclude(samples[0], { ready: 2, running: 0, dead: 0 })
      assert.deepInclude((yield* stats.series({ query: { queue: "billing" } })).samples[0], { ready: 0 })
      assert.strictEqual((yield* ask("mailAdmin", "/series?queue=billing")).status, 403)
      assert.strictEqual((yield* ask("mailAdmin", "/series")).body.samples[0].ready, 2)
    }))

  fact("how long was waited and run is heard of, by queue", ({ ask, client }) =>
    Effect.gen(function*() {
      const { stats } = yield* client("viewer")
      // From now on it looks.
      yield* stats.history({ query: {} })
      const greeted = Effect.gen(function*() {
        const { await: ended } = yield* Greet.enqueue({ name: "you" })
        yield* ended
        return yield* stats.history({ query: { queue: "mail" } })
      })
      const { every, parts, since, total } = yield* worked(
        Effect.repeat(greeted, {
          schedule: Schedule.spaced("50 millis"),
          until: ({ total: { run, wait } }) => run !== undefined && wait !== undefined
        })
      )
      assert.isAtLeast(total.completed, 1)
      assert.isAtLeast(total.run!.count, 1)
      assert.isAtMost(total.wait!.p50, total.wait!.p99)
      assert.isAtLeast(total.roundTrip!.count, 1)
      assert.strictEqual(every, 60_000)
      assert.deepStrictEqual([parts.length > 0, since !== undefined], [true, true])
      const { samples } = yield* stats.series({ query: {} })
      assert.isDefined(samples.at(-1)!.run)
      assert.strictEqual((yield* ask("mailAdmin", "/history?queue=billing")).status, 403)
      assert.strictEqual((yield* ask("mailAdmin", "/history?from=-1e308&before=1e308")).status, 400)
      assert.strictEqual((yield* ask("mailAdmin", "/history")).body.total.completed, total.completed)
      const none = yield* stats.history({ query: { queue: "billing" } })
      assert.deepStrictEqual([none.total.completed, none.total.run], [0, undefined])
    }))

  fact("who may see it reads what was asked for lately", ({ ask, client }) =>
    Effect.gen(function*() {
      const { queues, stats } = yield* client("operator")
      yield* queues.pause({ params: { queue: "mail" } })
      yield* ask("viewer", "/queues/billing/pause", {})
      const { entries } = yield* stats.audit()
      assert.deepStrictEqual(
        entries.map(({ action, outcome, principal, where }) => [principal, action, where, outcome]),
        [
          ["viewer", "pause", "{\"queue\":\"billing\"}", "Refused"],
          ["operator", "pause", "{\"queue\":\"mail\"}", "Done"]
        ]
      )
      const some = yield* ask("mailAdmin", "/audit")
      assert.deepStrictEqual(some.body.entries.map((entry: any) => entry.principal), ["operator"])
    }))
}
