/** Who did what to how many records, also where it was refused or went wrong. */
import { AuditLog } from "@capstan/http"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobGroup, JobRecord, JobStore } from "capstan"
import { Deferred, Effect, Layer, Logger, Schema } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Audited, layer as auditedLayer } from "../src/internal/audited.ts"
import { changeOf, credentials, Greet, serve, token } from "./harness.ts"

/** A memory store that is away for some verbs. */
const away = (...verbs: ReadonlyArray<"stats" | "query" | "get" | "control" | "pause">) =>
  failing("connection refused", ...verbs)

const failing = (detail: string, ...verbs: ReadonlyArray<"stats" | "query" | "get" | "control" | "pause">) =>
  Layer.effect(
    JobStore.JobStore,
    Effect.map(JobStore.JobStore, (store) => {
      const fails = () =>
        Effect.fail(
          new JobError.JobStoreError({
            reason: new JobError.Unavailable({ operation: verbs[0]!, detail })
          })
        )
      return {
        ...store,
        ...Object.fromEntries(verbs.map((verb) => [verb, verb === "stats" ? fails() : fails]))
      }
    })
  ).pipe(Layer.provide(JobStore.layerMemory()))

describe("the audit log", () => {
  it.live("says who did what to how many records, and why", () =>
    Effect.gen(function*() {
      const { ask, audited, context } = yield* serve()
      yield* Effect.provide(Greet.enqueueMany([{ name: "a" }, { name: "b" }]), context)
      yield* ask("operator", "/records/cancel", { where: { queue: "mail" }, reason: "a mistake" })
      yield* ask("operator", "/queues/mail/pause", {})
      yield* ask("operator", "/queues/mail/pause", {})
      assert.deepStrictEqual(
        audited.map(({ address, at, ...entry }) => {
          assert.isAbove(at, 0)
          assert.match(address!, /127\.0\.0\.1$/)
          return entry
        }),
        [
          {
            principal: "operator",
            action: "cancel",
            where: { queue: "mail" },
            options: { reason: "a mistake" },
            outcome: { _tag: "Done", changed: 2, requested: 0, unchanged: 0, notFound: 0 }
          },
          ...[1, 0].map((changed) => ({
            principal: "operator",
            action: "pause" as const,
            where: { queue: "mail" },
            options: {},
            outcome: { _tag: "Done" as const, changed, requested: 0, unchanged: 1 - changed, notFound: 0 }
          }))
        ]
      )
    }).pipe(Effect.scoped))

  it.live("says what was refused and what failed, and nothing of what only looks", () =>
    Effect.gen(function*() {
      const { ask, audited } = yield* serve({ store: away("control") })
      yield* ask("viewer", "/records/delete", { where: { queue: "mail" } })
      yield* ask("admin", "/records/delete", { where: { queue: "mail" } })
      yield* ask("admin", "/records/delete", { where: {} })
      yield* ask("admin", "/stats")
      yield* ask("admin", "/records")
      assert.deepStrictEqual(audited.map(({ outcome, principal }) => [principal, outcome._tag]), [
        ["viewer", "Refused"],
        ["admin", "Failed"],
        ["admin", "Failed"]
      ])
    }).pipe(Effect.scoped))

  it.live("says where a payload was wrong, and not what it has there", () =>
    Effect.gen(function*() {
      const Pin = Schema.String.annotate({ sensitive: true }).check(Schema.isMinLength(8))
      const Pay = Job.make("Pay", { payload: { pin: Pin } })
      const { ask, audited } = yield* serve({ groups: [JobGroup.make(Pay)] })
      const { body, status } = yield* ask("admin", "/records/enqueue", { job: "Pay", payload: `{"pin":"4242"}` })
      assert.deepStrictEqual([status, body.issues.map(({ pointer }: any) => pointer)], [400, ["/pin"]])
      assert.strictEqual(audited.length, 1)
      assert.include(JSON.stringify(audited), "at /pin")
      assert.notInclude(JSON.stringify(audited), "4242")
    }).pipe(Effect.scoped))

  it.live("says of a payload that is wrong in many places a few, and how many more there are", () =>
    Effect.gen(function*() {
      const Mails = Job.make("Mails", { payload: { to: Schema.Record(Schema.String, Schema.Array(Schema.String)) } })
      const { ask, audited } = yield* serve({ groups: [JobGroup.make(Mails)] })
      const long = "long ".repeat(20_000)
      for (const [key, given] of [["a", 100_000], [long, 100_000], ["a", 7], ["a", 5]] as const) {
        const payload = JSON.stringify({ to: { [key]: Array(given).fill(0) } })
        const { body, status } = yield* ask("admin", "/records/enqueue", { job: "Mails", payload })
        const told = Math.min(given, 100)
        assert.deepStrictEqual([status, body.issues.length, body.moreIssues ?? 0], [400, told, given - told])
        assert.isBelow(JSON.stringify(body).length, 256 * 1024)
        assert.isBelow(JSON.stringify(audited).length, 8 * 1024)
        if (key === "a") {
          const { outcome } = audited.at(-1)!
          const more = given > 5 ? `, and ${given - 5} more` : ""
          assert.isTrue(
            outcome._tag === "Failed" &&
              outcome.detail.endsWith(`at /to/a/0, /to/a/1, /to/a/2, /to/a/3, /to/a/4${more}`)
          )
          assert.isTrue(body.detail.endsWith(`Expected string at /to/a/4${more}`), body.detail)
        }
      }
    }).pipe(Effect.scoped))

  it.live("does not quote a payload that is no JSON", () =>
    Effect.gen(function*() {
      const Pin = Schema.String.annotate({ sensitive: true })
      const Pay = Job.make("Pay", { payload: { pin: Pin }, queue: "mail" })
      const { ask, audited } = yield* serve({ groups: [JobGroup.make(Pay)] })
      const payload = `{"pin":'4242'}`
      const { body: { id } } = yield* ask("admin", "/records/enqueue", { job: "Pay", payload: `{"pin":"1111"}` })
      for (
        const answer of [
          yield* ask("admin", "/records/enqueue", { job: "Pay", payload }),
          yield* ask("admin", "/records/edit", { id, payload })
        ]
      ) {
        assert.strictEqual(answer.status, 400)
        assert.include(answer.body.detail, "no JSON")
      }
      assert.deepStrictEqual(audited.map(({ outcome }) => outcome._tag), ["Done", "Failed", "Failed"])
      assert.notInclude(JSON.stringify(audited), "4242")
    }).pipe(Effect.scoped))

  it.live("says that the caller went away before the action ended", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const written = yield* Deferred.make<AuditLog.Entry>()
      const store = Layer.effect(
        JobStore.JobStore,
        Effect.map(JobStore.JobStore, (store) => ({
          ...store,
          control: () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
        }))
      ).pipe(Layer.provide(JobStore.layerMemory()))
      const { audited, url } = yield* serve({ store })
      const push = audited.push.bind(audited)
      audited.push = (...entries) => {
        Deferred.doneUnsafe(written, Effect.succeed(entries[0]!))
        return push(...entries)
      }
      const caller = new AbortController()
      const asked = fetch(`${url}/records/delete`, {
        method: "POST",
        headers: { ...credentials("admin"), ...changeOf(url) },
        body: JSON.stringify({ where: { queue: "mail" } }),
        signal: caller.signal
      }).catch(() => "aborted")
      yield* Deferred.await(begun)
      caller.abort()
      assert.strictEqual(yield* Effect.promise(() => asked), "aborted")
      assert.deepStrictEqual((yield* Deferred.await(written)).outcome, { _tag: "Interrupted" })
    }).pipe(Effect.scoped))

  it.live("shows the beginning of what is long, and gives the log all records by their ids", () =>
    Effect.gen(function*() {
      const { ask, audited } = yield* serve({ store: failing("no ".repeat(100_000), "control") })
      const ids = Array.from(
        { length: 1000 },
        (_, n) => JobRecord.JobId(`01890000-0000-7000-8000-${String(n).padStart(12, "0")}`)
      )
      const where = { ids, queue: "mail" }
      const reason = "because ".repeat(120)
      yield* ask("viewer", "/records/cancel", { where, reason })
      yield* ask("admin", "/records/cancel", { where, reason })
      assert.deepStrictEqual(audited.map(({ options, where }) => ({ options, where })), [
        { options: { reason }, where },
        { options: { reason }, where }
      ])
      const { outcome } = audited.at(-1)!
      assert.isTrue(outcome._tag === "Failed" && outcome.detail.length <= 1001 && outcome.detail.endsWith("no no…"))
      const { body: { entries } } = yield* ask("admin", "/audit")
      assert.deepStrictEqual(entries.map(({ outcome }: any) => outcome), ["Failed", "Refused"])
      for (const entry of entries) {
        assert.isAtMost(JSON.stringify(entry).length, 2048)
        assert.isTrue(entry.where.includes(`"ids":["${ids[0]}","`) && entry.where.endsWith("…"))
      }
    }).pipe(Effect.scoped))

  it.live("holds little in memory of what it shows", () =>
    Effect.gen(function*() {
      setFlagsFromString("--expose-gc")
      const collect: () => void = runInNewContext("gc")
      const heap = () => (collect(), process.memoryUsage().heapUsed)
      const { last, log } = yield* Audited
      const before = heap()
      for (let n = 0; n < 100; n++) {
        const long = Buffer.alloc(512 * 1024, `${n} `).toString("latin1")
        yield* log.write({
          at: n,
          principal: "viewer",
          address: undefined,
          action: "cancel",
          where: { tag: long },
          options: { reason: long },
          outcome: { _tag: "Refused", detail: long }
        })
      }
      assert.isBelow(heap() - before, 8 * 1024 * 1024)
      assert.strictEqual(last().length, 100)
    }).pipe(
      Effect.provide(auditedLayer),
      Effect.provideService(AuditLog.AuditLog, { write: () => Effect.void })
    ))

  it.live("logs where it is given no place", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const { write } = yield* AuditLog.AuditLog
      yield* write({
        at: 1,
        principal: "me",
        address: "127.0.0.1",
        action: "purge",
        where: { queue: "mail" },
        options: {},
        outcome: { _tag: "Done", changed: 3, requested: 0, unchanged: 0, notFound: 0 }
      })
      assert.strictEqual(lines.length, 1)
      for (const part of ["capstan audit", "me", "purge", "mail", "\"changed\\\":3"]) assert.include(lines[0], part)
    }).pipe(Effect.provide(Logger.layer([Logger.make((options) => void lines.push(Logger.formatJson.log(options)))])))
  })
})

describe("an error has a body that says what to do", () => {
  it.live("when the store is away", () =>
    Effect.gen(function*() {
      const { ask } = yield* serve({ store: away("stats", "query", "get", "control", "pause") })
      const id = "01890000-0000-7000-8000-000000000000"
      const answers = yield* Effect.all([
        ask("admin", "/stats"),
        ask("admin", "/records"),
        ask("admin", "/records/count?action=cancel&tag=Greet"),
        ask("admin", `/records/${id}`),
        ask("admin", "/records/retry", { where: { ids: [id] } }),
        ask("admin", "/queues/mail/pause", {})
      ])
      for (const { body, status } of answers) {
        assert.deepStrictEqual([status, body._tag, body.reason], [503, "StoreFailed", "Unavailable"])
        assert.include(body.detail, "connection refused")
      }
    }).pipe(Effect.scoped))

  it.live.each(
    [
      ["/records?limit=0", "limit"],
      ["/records?limit=1001", "limit"],
      ["/records?states=gone", "query"],
      ["/records?ids=1", "query"],
      ["/records/not-an-id", "params"],
      ["/records/count", "query"]
    ] as const
  )("when a look is wrong: %s", ([path, part]) =>
    Effect.gen(function*() {
      const { ask } = yield* serve()
      const { body, status } = yield* ask("viewer", path)
      assert.deepStrictEqual([status, body._tag], [400, "BadRequest"])
      assert.include(body.detail, part)
    }).pipe(Effect.scoped))

  it.live.each(
    [
      ["/records/cancel", { where: { queue: "mail" } }],
      ["/records/cancel", { where: {}, reason: "all of them" }],
      ["/records/delete", { where: { ids: [] } }],
      ["/records/delete", {}],
      ["/records/reschedule", { where: { queue: "mail" }, delay: -1 }],
      ["/records/reprioritise", { where: { queue: "mail" }, priority: 1000 }],
      ["/queues/mail/purge", { states: ["running"] }]
    ] as const
  )("when a change is wrong: %j", ([path, given]) =>
    Effect.gen(function*() {
      const { ask, context, jobs } = yield* serve()
      yield* Effect.provide(Greet.enqueue({ name: "a" }), context)
      const { body, status } = yield* ask("admin", path, given)
      assert.deepStrictEqual([status, body._tag], [400, "BadRequest"])
      assert.deepStrictEqual((yield* jobs.query({})).records.map(({ state }) => state), ["ready"])
    }).pipe(Effect.scoped))

  it.live("when a text is longer than any that names something, and nothing is written down of it", () =>
    Effect.gen(function*() {
      const { ask, audited } = yield* serve()
      const text = (most: number) => [" ".repeat(most), " ".repeat(most + 1)] as const
      const pointers = (many: number) => Object.fromEntries(Array.from({ length: many }, (_, n) => [`/${n}`, n]))
      const [right, tooLong] = [0, 1].map((i) => [
        ...["tag", "queue", "flowId", "worker"].map((condition) => ({ [condition]: text(128)[i] })),
        { concurrencyKey: text(512)[i] },
        ...["label", "errorTag"].map((condition) => ({ [condition]: text(4096)[i] })),
        { queue: "mail", payload: { [`/${text(1023)[i]}`]: 1 } },
        { queue: "mail", payload: { "/a": text(4096)[i] } },
        { queue: "mail", payload: pointers(20 + i) }
      ])
      for (const where of right!) {
        assert.strictEqual((yield* ask("admin", "/records/promote", { where })).status, 200)
        const query = new URLSearchParams()
        for (const [name, given] of Object.entries(where)) {
          query.set(name, typeof given === "string" ? given : JSON.stringify(given))
        }
        for (const path of [`/records?${query}`, `/records/count?action=cancel&${query}`]) {
          assert.strictEqual((yield* ask("admin", path)).status, 200, path)
        }
      }
      assert.strictEqual(audited.length, right!.length)
      for (const where of tooLong!) {
        for (const who of ["viewer", "admin"]) {
          const { body, status } = yield* ask(who, "/records/promote", { where })
          assert.deepStrictEqual([status, body._tag], [400, "BadRequest"], JSON.stringify(where))
        }
      }
      for (
        const [path, given] of [
          ["/records/enqueue", { job: text(128)[1], payload: "{}" }],
          ["/records/enqueue", { job: "Greet", payload: "{}", idempotencyKey: text(512)[1] }],
          ["/records/enqueue", { job: "Greet", payload: "{}", tags: [text(4096)[1]] }],
          ["/schedules/pause", { name: text(128)[1] }]
        ] as const
      ) {
        assert.strictEqual((yield* ask("viewer", path, given)).status, 400, path)
      }
      assert.strictEqual(audited.length, right!.length)
    }).pipe(Effect.scoped))

  it.live("when a body is no JSON, and when there is no such route", () =>
    Effect.gen(function*() {
      const { ask, request, url } = yield* serve()
      const headers = { ...credentials("admin"), ...changeOf(url) }
      const broken = yield* request("/records/retry", { method: "POST", headers, body: "{" })
      assert.deepStrictEqual([broken.status, broken.body._tag], [400, "BadRequest"])
      const unknown = yield* ask("admin", "/nothing?secret=1")
      assert.deepStrictEqual([unknown.status, unknown.body], [404, {
        _tag: "RouteNotFound",
        method: "GET",
        path: "/nothing"
      }])
    }).pipe(Effect.scoped))
})

it.live("a principal's token is in no answer and in no entry", () =>
  Effect.gen(function*() {
    const { ask, audited } = yield* serve()
    const answer = yield* ask("admin", "/queues/mail/pause", {})
    assert.notInclude(JSON.stringify([answer.body, [...answer.headers], audited]), token("admin"))
  }).pipe(Effect.scoped))
