/** What the API does on every store. */
import { assert, describe, it } from "@effect/vitest"
import type { JobRecord, JobSchedules, JobStore } from "capstan"
import { Clock, Effect, type Layer, Option, Redacted, type Scope } from "effect"
import { Bill, Greet, serve, type Served, worked } from "./harness.ts"
import { operations } from "./operations.ts"
import { connect, next, told } from "./reading.ts"

export const facts = (name: string, store: Layer.Layer<JobStore.JobStore>) =>
  describe(name, () => {
    const fact = (
      name: string,
      run: (served: Served) => Effect.Effect<void, unknown, JobStore.JobStore | JobSchedules.JobSchedules | Scope.Scope>
    ) =>
      it.live(name, () =>
        Effect.gen(function*() {
          const served = yield* serve({ store })
          yield* Effect.provide(run(served), served.context)
        }).pipe(Effect.scoped))

    operations(fact)

    fact("the figures of a store that is new have its clock", ({ jobs }) =>
      Effect.gen(function*() {
        const before = yield* Clock.currentTimeMillis
        const { now, queues, workers } = yield* jobs.stats
        assert.deepStrictEqual([queues, workers], [[], []])
        // The server is this machine.
        assert.closeTo(now, before, 60_000)
      }))

    fact("the figures are those of the store", ({ ask }) =>
      Effect.gen(function*() {
        yield* Greet.enqueueMany([{ name: "a" }, { name: "b" }])
        yield* Bill.enqueue({ amount: 1 }, { delay: "1 hour" })
        const { body, status } = yield* ask("viewer", "/stats")
        assert.strictEqual(status, 200)
        const counts = Object.fromEntries(body.queues.map((queue: any) => [queue.queue, queue.counts]))
        assert.deepInclude(counts.mail, { ready: 2, scheduled: 0 })
        assert.deepInclude(counts.billing, { ready: 0, scheduled: 1 })
      }))

    fact(
      "an id of a queue that may not be seen is as one that nobody has, also where another queue is named",
      ({ ask }) =>
        Effect.gen(function*() {
          const mail = yield* Greet.enqueue({ name: "a" })
          const [older, newer] = yield* Bill.enqueueMany([{ amount: 1 }, { amount: 2 }])
          const answers = (...ids: ReadonlyArray<string>) => {
            const where = { queue: "mail", ids }
            const query = `queue=mail&ids=${ids.join("&ids=")}`
            const payload = encodeURIComponent("{\"/name\":\"a\"}")
            return Effect.forEach(
              [
                ask("mailAdmin", "/records/promote", { where }),
                ask("mailAdmin", "/records/promote", { where: { ...where, payload: { "/name": "a" } } }),
                ...[
                  "/records/count?action=cancel",
                  `/records/count?action=cancel&payload=${payload}`,
                  "/records?limit=1",
                  "/records?limit=1&order=oldest",
                  `/records?limit=1&payload=${payload}`
                ].map((path) => ask("mailAdmin", `${path}&${query}`))
              ],
              (answer) => Effect.map(answer, ({ body, status }) => ({ status, body }))
            )
          }
          for (const { id } of [older!, newer!]) {
            // Where a page ends is by an id's place among the others, which the two have in common.
            const nobodys = id.replace(/.$/, (digit) => digit === "0" ? "1" : "0")
            const unknown = yield* answers(nobodys)
            assert.deepStrictEqual(unknown.map(({ status }) => status), Array(7).fill(200))
            assert.strictEqual(unknown[0]!.body.notFound, 1)
            const beside = yield* answers(nobodys, mail.id)
            for (const hidden of [id, id.toUpperCase()]) {
              assert.deepStrictEqual(yield* answers(hidden), unknown)
              assert.deepStrictEqual(yield* answers(hidden, mail.id), beside)
            }
          }
        })
    )

    fact("pages follow one another by their cursor, and miss none", ({ client }) =>
      Effect.gen(function*() {
        const { records } = yield* client("viewer")
        const enqueued = yield* Greet.enqueueMany(Array.from({ length: 25 }, (_, index) => ({ name: `n${index}` })))
        const seen: Array<string> = []
        let cursor: string | undefined
        do {
          const page = yield* records.list({
            query: { queue: "mail", order: "oldest", limit: 10, ...cursor === undefined ? {} : { cursor } }
          })
          assert.isAtMost(page.records.length, 10)
          seen.push(...page.records.map(({ id }) => id))
          cursor = page.cursor
        } while (cursor !== undefined)
        assert.sameMembers(seen, enqueued.map(({ id }) => id))
        assert.strictEqual(seen.length, 25)
      }))

    fact("a filter holds in all of its conditions", ({ client }) =>
      Effect.gen(function*() {
        const { records } = yield* client("viewer")
        const vip = yield* Greet.enqueue({ name: "v" }, { tags: ["vip"] })
        yield* Greet.enqueue({ name: "w" })
        yield* Bill.enqueue({ amount: 1 }, { tags: ["vip"] })
        const page = yield* records.list({ query: { queue: "mail", label: "vip", states: ["ready", "scheduled"] } })
        assert.deepStrictEqual(page.records.map(({ id }) => id as string), [vip.id])
        assert.deepStrictEqual(
          (yield* records.list({ query: { label: "vip", states: ["dead"] } })).records,
          []
        )
        assert.deepStrictEqual(
          (yield* records.list({ query: { ids: [vip.id] } })).records.map(({ tag }) => tag),
          ["Greet"]
        )
      }))

    fact("a record has its attempts and logs, and its secrets are masked", ({ client }) =>
      Effect.gen(function*() {
        const { records } = yield* client("viewer")
        const good = yield* Greet.enqueue({ name: "you", card: Redacted.make("4242") })
        const bad = yield* Greet.enqueue({ name: "nobody" })
        yield* worked(Effect.andThen(good.await, Effect.flip(bad.await)))
        const done = yield* records.get({ params: { id: good.id }, query: {} })
        assert.deepInclude(done, { state: "completed", tag: "Greet", queue: "mail", attempt: 1 })
        assert.deepStrictEqual(JSON.parse(done.result!.text), { greeting: "Hello, you!" })
        assert.deepStrictEqual(done.attempts.map(({ decision }) => decision), ["completed"])
        assert.deepStrictEqual(done.logs.map(({ message }) => message), ["greeting you"])
        assert.deepStrictEqual(done.sensitive.payload, ["/card"])
        assert.notInclude(JSON.stringify(done), "4242")
        const dead = yield* records.get({ params: { id: bad.id }, query: {} })
        assert.deepInclude(dead, { state: "dead", deadReason: "Failed" })
        assert.deepInclude(dead.attempts[0]?.failure, { kind: "Declared", tag: "Declined" })
        const listed = yield* records.list({ query: { errorTag: "Declined" } })
        assert.deepStrictEqual(listed.records.map(({ lastFailure }) => lastFailure?.tag), ["Declined"])
      }))

    fact("a long text is cut, and its length is told", ({ client }) =>
      Effect.gen(function*() {
        const { records } = yield* client("viewer")
        const { id } = yield* Greet.enqueue({ name: "x".repeat(100_000) })
        const whole = JSON.stringify({ name: "x".repeat(100_000) })
        const usual = yield* records.get({ params: { id }, query: {} })
        assert.deepStrictEqual(usual.payload, { text: whole.slice(0, 65_536), length: whole.length })
        const all = yield* records.get({ params: { id }, query: { maxText: 200_000 } })
        assert.deepStrictEqual(all.payload, { text: whole, length: whole.length })
        const listed = yield* records.list({ query: { ids: [id] } })
        assert.deepStrictEqual(listed.records[0]?.payload, { text: whole.slice(0, 256), length: whole.length })
      }))

    fact("an id that nobody has is not found", ({ client }) =>
      Effect.gen(function*() {
        const { records } = yield* client("viewer")
        const id = "01890000-0000-7000-8000-000000000000"
        const error = yield* Effect.flip(records.get({ params: { id }, query: {} }))
        assert.deepInclude(error, { _tag: "RecordNotFound", id })
        const counts = yield* (yield* client("admin")).records.cancel({
          payload: { where: { ids: [id] }, reason: "r" }
        })
        assert.deepStrictEqual(counts, { changed: 0, requested: 0, unchanged: 0, notFound: 1 })
      }))

    fact("an action meets one record, some, or all that match", ({ client, jobs }) =>
      Effect.gen(function*() {
        const { records } = yield* client("admin")
        const stateOf = (id: JobRecord.JobId) =>
          Effect.map(jobs.get(id), (found) => Option.getOrUndefined(found)?.state)
        const [a, b, c, d] = yield* Greet.enqueueMany(["a", "b", "c", "d"].map((name) => ({ name })))
        const bill = yield* Bill.enqueue({ amount: 1 })
        const one = yield* records.cancel({ payload: { where: { ids: [a!.id] }, reason: "a mistake" } })
        assert.deepInclude(one, { changed: 1, unchanged: 0 })
        const some = yield* records.cancel({ payload: { where: { ids: [a!.id, b!.id] }, reason: "again" } })
        assert.deepInclude(some, { changed: 1, unchanged: 1 })
        const all = yield* records.cancel({ payload: { where: { queue: "mail", states: ["ready"] }, reason: "all" } })
        assert.deepInclude(all, { changed: 2 })
        for (const { id } of [a!, b!, c!, d!]) assert.strictEqual(yield* stateOf(id), "cancelled")
        assert.strictEqual(yield* stateOf(bill.id), "ready")
      }))

    fact("each action does what its name says", ({ client, jobs }) =>
      Effect.gen(function*() {
        const { records } = yield* client("admin")
        const { id } = yield* Greet.enqueue({ name: "a" }, { delay: "1 hour" })
        const where = { ids: [id] as const }
        const record = Effect.map(jobs.get(id), Option.getOrUndefined)
        const before = (yield* record)!.dueAt!
        yield* records.reschedule({ payload: { where, delay: 7_200_000 } })
        assert.isAbove((yield* record)!.dueAt!, before)
        yield* records.reschedule({ payload: { where, runAt: before } })
        assert.strictEqual((yield* record)!.dueAt, before)
        yield* records.reprioritise({ payload: { where, priority: 7 } })
        assert.strictEqual((yield* record)!.priority, 7)
        yield* records.promote({ payload: { where } })
        assert.strictEqual((yield* record)!.state, "ready")
        yield* records.cancel({ payload: { where, reason: "r" } })
        assert.strictEqual((yield* record)!.state, "cancelled")
        yield* records.retry({ payload: { where } })
        assert.strictEqual((yield* record)!.state, "ready")
        yield* records.delete({ payload: { where } })
        assert.isUndefined(yield* record)
      }))

    fact("what a count foretells is what the action does", ({ client }) =>
      Effect.gen(function*() {
        const { records } = yield* client("admin")
        const waiting = ["a", "b", "c", "d"].map((name) => ({ name }))
        yield* Greet.enqueueMany(waiting, { tags: ["seen"] })
        yield* Greet.enqueueMany(waiting, { tags: ["seen"], delay: "1 hour" })
        const some = yield* Greet.enqueueMany(waiting, { tags: ["seen"] })
        yield* records.cancel({ payload: { where: { ids: [some[0]!.id, some[1]!.id] }, reason: "r" } })
        const acts = {
          reprioritise: (where: object) => records.reprioritise({ payload: { where, priority: 9 } }),
          reschedule: (where: object) => records.reschedule({ payload: { where, delay: 3_600_000 } }),
          promote: (where: object) => records.promote({ payload: { where } }),
          cancel: (where: object) => records.cancel({ payload: { where, reason: "r" } }),
          retry: (where: object) => records.retry({ payload: { where } }),
          delete: (where: object) => records.delete({ payload: { where } })
        }
        for (const [action, act] of Object.entries(acts)) {
          // By looking, and by the store's figures.
          const looked = yield* records.count({ query: { action: action as keyof typeof acts, label: "seen" } })
          const told = yield* records.count({ query: { action: action as keyof typeof acts, queue: "mail" } })
          assert.deepStrictEqual(told, looked, action)
          const { changed, requested } = yield* act({ label: "seen" })
          assert.strictEqual(changed + requested, looked.applies, action)
          assert.isAbove(changed, 0, action)
        }
      }))

    fact("what happens is told to who reads", (served) =>
      Effect.gen(function*() {
        const queue = yield* connect(served, "viewer", { queue: "mail" })
        assert.strictEqual((yield* next(queue)).event, "missed")
        const { id } = yield* Greet.enqueue({ name: "a" })
        const { found } = yield* told(queue, 1)
        assert.deepInclude(found[0], { id, type: "enqueued", queue: "mail" })
      }))

    fact("a queue is paused, resumed, drained and purged", ({ client, jobs }) =>
      Effect.gen(function*() {
        const { queues, stats } = yield* client("admin")
        const params = { queue: "mail" }
        yield* Greet.enqueueMany(["a", "b"].map((name) => ({ name })))
        const isPaused = Effect.map(stats.stats(), ({ queues }) => queues.find(({ queue }) => queue === "mail")!.paused)
        assert.deepStrictEqual(yield* queues.pause({ params }), { changed: true })
        assert.deepStrictEqual(yield* queues.pause({ params }), { changed: false })
        assert.isTrue(yield* isPaused)
        assert.deepStrictEqual(yield* queues.resume({ params }), { changed: true })
        assert.isFalse(yield* isPaused)
        assert.deepInclude(yield* queues.drain({ params }), { changed: 2 })
        assert.deepInclude(yield* queues.purge({ params, payload: { states: ["dead"] } }), { changed: 0 })
        assert.deepInclude(yield* queues.purge({ params, payload: {} }), { changed: 2 })
        assert.deepStrictEqual((yield* jobs.query({ queue: "mail" })).records, [])
      }))
  })
