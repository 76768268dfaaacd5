/** Who may do what: each principal times each route, and changes that no page of ours has asked for. */
import { Auth, JobsApi, Permission } from "@capstan/http"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobSchedules, JobStore } from "capstan"
import { Cause, Context, Effect, Exit, Layer, Redacted } from "effect"
import { isLoopbackAddress } from "../src/internal/origin.ts"
import { statsOf } from "../src/internal/view.ts"
import { Bill, changeOf, credentials, everybody, Greet, principals, raw, serve, token, type Who } from "./harness.ts"
import { expected, mismatches, requestOf, routes } from "./matrix.ts"

const all: ReadonlyArray<Who | "nobody"> = ["nobody", "viewer", "operator", "admin", "mailAdmin"]
const changes = routes.filter(({ method }) => method !== "GET")
const id = "01890000-0000-7000-8000-000000000000"

describe("the matrix", () => {
  it("has routes of every kind, and each has an action", () => {
    assert.isAbove(routes.length, 14)
    assert.deepStrictEqual(routes.filter(({ action, method }) => (method === "GET") !== (action === "view")), [])
    assert.deepStrictEqual([...new Set(all.map((who) => expected(who, "delete")))], [401, 403, 200])
  })

  it.live("each principal may do on each route what its role says", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* mismatches(yield* serve(), all), [])
    }).pipe(Effect.scoped))

  it.live("a viewer who is let through is found", () =>
    Effect.gen(function*() {
      const served = yield* serve({ auth: everybody({ ...principals, viewer: Auth.principal("viewer", "admin") }) })
      const wrong = yield* mismatches(served, ["viewer"])
      assert.strictEqual(wrong.length, changes.length)
      assert.include(wrong[0], "viewer")
    }).pipe(Effect.scoped))

  it.live("an admin who is refused is found", () =>
    Effect.gen(function*() {
      const served = yield* serve({ auth: everybody({ admin: Auth.principal("admin", "viewer") }) })
      assert.strictEqual((yield* mismatches(served, ["admin"])).length, changes.length)
    }).pipe(Effect.scoped))
})

describe("rules per queue", () => {
  it.live("who may act on one queue names it, or its records", () =>
    Effect.gen(function*() {
      const { ask, context } = yield* serve()
      const mail = yield* Effect.provide(Greet.enqueue({ name: "a" }), context)
      const bill = yield* Effect.provide(Bill.enqueue({ amount: 1 }), context)
      const cancel = (where: object) =>
        Effect.map(ask("mailAdmin", "/records/cancel", { where, reason: "r" }), ({ status }) => status)
      assert.strictEqual(yield* cancel({ tag: "Greet" }), 403)
      assert.strictEqual(yield* cancel({ queue: "billing" }), 403)
      assert.strictEqual((yield* ask("admin", `/records/${mail.id}`)).body.state, "ready")
      assert.strictEqual(yield* cancel({ queue: "mail", ids: [mail.id, bill.id] }), 200)
      assert.strictEqual((yield* ask("admin", `/records/${mail.id}`)).body.state, "cancelled")
      assert.strictEqual((yield* ask("admin", `/records/${bill.id}`)).body.state, "ready")
      assert.strictEqual((yield* ask("mailAdmin", "/queues/billing/pause", {})).status, 403)
    }).pipe(Effect.scoped))

  it.live("who may see one queue sees nothing of another", () =>
    Effect.gen(function*() {
      const { ask, context } = yield* serve()
      yield* Effect.provide(Greet.enqueue({ name: "a" }), context)
      const bill = yield* Effect.provide(Bill.enqueue({ amount: 1 }), context)
      const answers = yield* Effect.forEach(
        ["/stats", "/records", `/records/${bill.id}`, `/records?ids=${bill.id}`],
        (path) => ask("mailAdmin", path)
      )
      assert.deepStrictEqual(answers.map(({ status }) => status), [200, 200, 404, 200])
      assert.notInclude(JSON.stringify(answers[0]!.body), "billing")
      assert.deepStrictEqual(answers[1]!.body.records.map((record: any) => record.queue), ["mail"])
      assert.deepStrictEqual(answers[3]!.body.records, [])
      assert.strictEqual((yield* ask("mailAdmin", "/records?queue=billing")).status, 403)
      assert.strictEqual((yield* ask("mailAdmin", "/records/count?action=cancel")).status, 403)
    }).pipe(Effect.scoped))

  it.live("an id of a queue that may not be seen is as one that nobody has", () =>
    Effect.gen(function*() {
      const clerk: Auth.Principal = {
        name: "clerk",
        may: (action, queue) => queue === "mail" || action === "view" && queue === "billing"
      }
      const { ask, audited, context } = yield* serve({ auth: everybody({ ...principals, clerk }) })
      const mail = yield* Effect.provide(Greet.enqueue({ name: "a" }), context)
      const bill = yield* Effect.provide(Bill.enqueue({ amount: 1 }), context)
      const answers = (ids: ReadonlyArray<string>) =>
        Effect.forEach(
          [
            ask("mailAdmin", "/records/promote", { where: { ids } }),
            ask("mailAdmin", "/records/promote", { where: { ids, payload: { "/amount": 1 } } }),
            ask("mailAdmin", `/records/count?action=cancel&ids=${ids.join("&ids=")}`)
          ],
          (answer) => Effect.map(answer, ({ body, status }) => ({ status, body }))
        )
      const unknown = yield* answers([id])
      assert.deepStrictEqual(unknown.map(({ status }) => status), [200, 200, 200])
      assert.strictEqual(unknown[0]!.body.notFound, 1)
      for (const hidden of [bill.id, bill.id.toUpperCase()]) {
        assert.deepStrictEqual(yield* answers([hidden]), unknown)
        assert.deepStrictEqual(yield* answers([hidden, mail.id]), yield* answers([id, mail.id]))
      }
      const where = { ids: [mail.id, bill.id] }
      const done = yield* ask("mailAdmin", "/records/cancel", { where, reason: "r" })
      assert.deepInclude(done.body, { changed: 1, notFound: 1 })
      assert.deepInclude(audited.at(-1), { where, outcome: { _tag: "Done", ...done.body } })
      assert.strictEqual((yield* ask("admin", `/records/${bill.id}`)).body.state, "ready")
      // Who may see it is told that they may not act on it.
      assert.strictEqual((yield* ask("clerk", "/records/cancel", { where, reason: "r" })).status, 403)
    }).pipe(Effect.scoped))

  it.live("one of a queue that may be seen is not met where another is named", () =>
    Effect.gen(function*() {
      const clerk: Auth.Principal = {
        name: "clerk",
        may: (action, queue) => queue === "mail" || action === "view" && queue === "billing"
      }
      const { ask, context } = yield* serve({ auth: everybody({ clerk }) })
      const mail = yield* Effect.provide(Greet.enqueue({ name: "a" }), context)
      const bill = yield* Effect.provide(Bill.enqueue({ amount: 1 }), context)
      const answer = yield* ask("clerk", "/records/promote", { where: { queue: "mail", ids: [mail.id, bill.id] } })
      assert.deepInclude(answer, { status: 200, body: { changed: 0, requested: 0, unchanged: 1, notFound: 0 } })
    }).pipe(Effect.scoped))

  it.live("a job of a queue that may not be seen is as one that is not known", () =>
    Effect.gen(function*() {
      const form: Auth.Principal = { name: "form", may: (action) => action === "enqueue" }
      const { ask, audited } = yield* serve({ auth: everybody({ ...principals, form }) })
      const enqueue = (job: string) =>
        Effect.map(
          ask("mailAdmin", "/records/enqueue", { job, payload: "{}" }),
          ({ body, status }) => [status, JSON.stringify(body).replaceAll(job, "")]
        )
      const hidden = yield* enqueue("Bill")
      assert.strictEqual(hidden[0], 400)
      assert.deepStrictEqual(hidden, yield* enqueue("Bull"))
      assert.deepStrictEqual(audited.map(({ outcome, where }) => [outcome._tag, where.queue]), [
        ["Refused", "billing"],
        ["Refused", undefined]
      ])
      // Who may enqueue need not see.
      const bill = { job: "Bill", payload: "{\"amount\":1}" }
      assert.strictEqual((yield* ask("form", "/records/enqueue", bill)).status, 200)
    }).pipe(Effect.scoped))

  it("what a worker holds is not told to who may not see all of its queues", () => {
    const worker = (worker: string, queues: ReadonlyArray<string>) => ({ worker, holds: 3, leaseLeft: 1, queues })
    const { workers } = statsOf(
      {
        now: 1,
        queues: [],
        workers: [worker("a", ["mail"]), worker("b", ["mail", "billing"]), worker("c", ["billing"])]
      },
      (queue) => queue === "mail"
    )
    assert.deepStrictEqual(workers, [worker("a", ["mail"]), { worker: "b", leaseLeft: 1, queues: ["mail"] }])
  })

  it.live("who may see one queue is not told by where a page ends what is in another", () =>
    Effect.gen(function*() {
      const { ask, context } = yield* serve()
      const mails: Array<string> = []
      for (const name of ["a", "b"]) {
        yield* Effect.provide(Bill.enqueueMany([{ amount: 1 }, { amount: 2 }], { tags: ["x"] }), context)
        mails.push((yield* Effect.provide(Greet.enqueue({ name }, { tags: ["x"] }), context)).id)
      }
      const [bill] = yield* Effect.provide(Bill.enqueueMany([{ amount: 3 }]), context)
      for (const query of ["tag=Bill&limit=1", `ids=${bill!.id}&limit=1`, "queue=mail&tag=Bill&limit=1"]) {
        const { body, status } = yield* ask("mailAdmin", `/records?${query}`)
        assert.deepStrictEqual([status, body], [200, { records: [] }], query)
      }
      for (const order of ["newest", "oldest"]) {
        const right = order === "oldest" ? mails : mails.toReversed()
        const { body: first } = yield* ask("mailAdmin", `/records?label=x&limit=1&order=${order}`)
        const more = `/records?label=x&limit=1&order=${order}&cursor=${encodeURIComponent(first.cursor)}`
        const { body: second } = yield* ask("mailAdmin", more)
        assert.deepStrictEqual([first, second].flatMap(({ records }) => records.map(({ id }: any) => id)), right)
        for (const { cursor = "" } of [first, second]) {
          assert.isTrue(cursor === "" || cursor.includes("mail"), cursor)
          assert.notInclude(cursor, "billing")
        }
      }
      const wrong = yield* ask("mailAdmin", "/records?cursor=1")
      assert.deepStrictEqual([wrong.status, wrong.body._tag], [400, "BadRequest"])
    }).pipe(Effect.scoped))

  /** A memory store that passes over other records first, in so many calls of each page. */
  const walking = (over: number) => {
    const calls = { made: 0 }
    const store = Layer.effect(
      JobStore.JobStore,
      Effect.map(JobStore.JobStore, (store): JobStore.JobStore["Service"] => ({
        ...store,
        isCursor: () => true,
        query: ({ cursor = "over 0", ...request }) => {
          calls.made++
          const passed = Number(/^over (\d+)$/.exec(cursor)?.[1] ?? over)
          return passed < over
            ? Effect.succeed({ records: [], cursor: `over ${passed + 1}`, looked: undefined })
            : store.query({ ...request, cursor: cursor.startsWith("over") ? undefined : cursor })
        }
      }))
    ).pipe(Layer.provide(JobStore.layerMemory()))
    return { calls, store }
  }

  it.live("a store that stops among records of others is asked to go on", () =>
    Effect.gen(function*() {
      const { store } = walking(30)
      const some = Auth.principal("some", "viewer", { queues: ["mail", "billing"] })
      const { ask, context } = yield* serve({ store, auth: everybody({ ...principals, some }) })
      yield* Effect.provide(Greet.enqueueMany(["a", "b", "c"].map((name) => ({ name }))), context)
      yield* Effect.provide(Bill.enqueueMany([{ amount: 1 }, { amount: 2 }]), context)
      for (const path of ["/records?limit=2", "/records?limit=2&queue=mail"]) {
        const { body: first } = yield* ask("mailAdmin", path)
        const { body: rest } = yield* ask("mailAdmin", `${path}&cursor=${encodeURIComponent(first.cursor)}`)
        assert.deepStrictEqual([first.records.length, rest.records.length, rest.cursor], [2, 1, undefined], path)
      }
      assert.strictEqual((yield* ask("some", "/records?limit=4")).body.records.length, 4)
      const counted = yield* ask("mailAdmin", "/records/count?action=cancel&queue=mail&tag=Greet")
      assert.deepInclude(counted.body, { matched: 3, isAtLeast: false })
    }).pipe(Effect.scoped))

  it.live("it is asked to go on a bounded number of times, and then the page ends where it stopped", () =>
    Effect.gen(function*() {
      const { calls, store } = walking(100_000)
      const some = Auth.principal("some", "viewer", { queues: ["mail", "billing"] })
      const { ask, context } = yield* serve({ store, auth: everybody({ ...principals, some }) })
      yield* Effect.provide(Greet.enqueue({ name: "a" }), context)
      yield* Effect.provide(Bill.enqueue({ amount: 1 }), context)
      const { body, status } = yield* ask("some", "/records")
      assert.deepStrictEqual([status, body.records, typeof body.cursor], [200, [], "string"])
      assert.isAtMost(calls.made, 110)
      const next = yield* ask("some", `/records?cursor=${encodeURIComponent(body.cursor)}`)
      assert.notStrictEqual(next.body.cursor, body.cursor)
      const counted = yield* ask("mailAdmin", "/records/count?action=cancel&queue=mail&tag=Greet")
      assert.isTrue(counted.body.isAtLeast)
      assert.isAtMost(calls.made, 330)
    }).pipe(Effect.scoped))

  it.live("who may see some queues pages through all that is in them, in order, and through nothing else", () =>
    Effect.gen(function*() {
      const some = Auth.principal("some", "viewer", { queues: ["mail", "billing"] })
      const { ask, context, jobs } = yield* serve({ auth: everybody({ some }) })
      const Hidden = Job.make("Hidden", { queue: "hidden" })
      for (let n = 0; n < 4; n++) {
        yield* Effect.provide(Greet.enqueueMany([{ name: "a" }, { name: "b" }]), context)
        yield* Effect.provide(Hidden.enqueue(), context)
        yield* Effect.provide(Bill.enqueueMany([{ amount: 1 }, { amount: 2 }, { amount: 3 }]), context)
      }
      const all = (yield* jobs.query({ limit: 100 })).records
      const right = all.flatMap(({ id, queue }) => queue === "hidden" ? [] : [id as string])
      for (const order of ["newest", "oldest"]) {
        for (const limit of [1, 3, 20, 21]) {
          const seen: Array<{ readonly id: string; readonly enqueuedAt: number }> = []
          let cursor: string | undefined
          do {
            const path = `/records?order=${order}&limit=${limit}`
            const { body } = yield* ask(
              "some",
              cursor === undefined ? path : `${path}&cursor=${encodeURIComponent(cursor)}`
            )
            assert.isAtMost(body.records.length, limit)
            seen.push(...body.records)
            cursor = body.cursor
          } while (cursor !== undefined)
          assert.sameMembers(seen.map(({ id }) => id), right)
          assert.strictEqual(seen.length, right.length)
          const times = seen.map(({ enqueuedAt }) => enqueuedAt)
          assert.deepStrictEqual(times, times.toSorted((a, b) => order === "oldest" ? a - b : b - a))
        }
      }
    }).pipe(Effect.scoped))

  it.live("who may see one queue pages through its schedules, and is not told of others", () =>
    Effect.gen(function*() {
      const { ask, context } = yield* serve()
      const schedules = Context.get(context, JobSchedules.JobSchedules)
      const every = "1 hour"
      for (let n = 100; n < 210; n++) {
        yield* schedules.upsert(`a${n}`, Bill, { every, payload: { amount: 1 } })
        yield* schedules.upsert(`b${n}`, Greet, { every, payload: { name: "a" } })
        yield* schedules.upsert(`c${n}`, Bill, { every, payload: { amount: 1 } })
      }
      const { body: first } = yield* ask("mailAdmin", "/schedules")
      assert.deepStrictEqual([first.schedules.length, first.after], [100, "b199"])
      const { body: second } = yield* ask("mailAdmin", `/schedules?after=${first.after}`)
      assert.deepStrictEqual(
        [second.schedules.map(({ name }: any) => name), second.after],
        [Array.from({ length: 10 }, (_, n) => `b${200 + n}`), undefined]
      )
    }).pipe(Effect.scoped))

  it.live("me says who asks, and what is allowed everywhere and where more", () =>
    Effect.gen(function*() {
      const { ask, context } = yield* serve()
      yield* Effect.provide(Greet.enqueue({ name: "a" }), context)
      yield* Effect.provide(Bill.enqueue({ amount: 1 }), context)
      assert.deepStrictEqual((yield* ask("viewer", "/me")).body, { name: "viewer", everywhere: ["view"], queues: {} })
      assert.deepStrictEqual((yield* ask("mailAdmin", "/me")).body, {
        name: "mailAdmin",
        everywhere: [],
        queues: { mail: [...Permission.actions] }
      })
      assert.include((yield* ask("admin", "/me")).body.everywhere, "purge")
    }).pipe(Effect.scoped))
})

describe("a change of another page", () => {
  /** Every change, with these headers of the request set or left out: all must be refused for this reason. */
  const refused = (headers: (own: Record<string, string>) => Record<string, string>, reason: string) =>
    Effect.gen(function*() {
      const { audited, context, request, url } = yield* serve({ auth: everybody() })
      const { id } = yield* Effect.provide(Greet.enqueue({ name: "a" }), context)
      for (const route of changes) {
        const [path, init] = requestOf(route, id)
        const { body, status } = yield* request(path, {
          ...init,
          headers: { ...credentials("admin"), ...headers(changeOf(url)) }
        })
        assert.deepStrictEqual([route.name, status, body._tag, body.reason], [route.name, 403, "Forbidden", reason])
      }
      assert.deepStrictEqual(audited, [])
    }).pipe(Effect.scoped)

  const without = (name: string) => (own: Record<string, string>) =>
    Object.fromEntries(Object.entries(own).filter(([header]) => header !== name))

  it.live("without the header is refused", () => refused(without(JobsApi.changeHeader), "HeaderMissing"))
  it.live("without an origin is refused", () => refused(without("origin"), "CrossOrigin"))
  it.live.each(["https://evil.example", "null", "http://127.0.0.1:1", "no url", "file://127.0.0.1"])(
    "from the origin %s is refused",
    (origin) => refused((own) => ({ ...own, origin }), "CrossOrigin")
  )
  it.live("that the browser calls cross-site is refused", () =>
    refused((own) => ({ ...own, "sec-fetch-site": "cross-site" }), "CrossOrigin"))

  it.live("is taken from an origin that is named", () =>
    Effect.gen(function*() {
      const { request, url } = yield* serve({ origins: ["https://ops.example.com"] })
      const pause = (origin: string) =>
        Effect.map(
          request("/queues/mail/pause", {
            method: "POST",
            headers: { ...credentials("admin"), ...changeOf(url), origin }
          }),
          ({ status }) => status
        )
      assert.strictEqual(yield* pause("https://ops.example.com"), 200)
      assert.strictEqual(yield* pause("https://ops.example.com.evil.example"), 403)
    }).pipe(Effect.scoped))
})

describe("Auth.none", () => {
  const ask = (headers: Record<string, string>) =>
    Effect.gen(function*() {
      const { url } = yield* serve({ auth: Auth.none })
      return yield* raw(url, headers)
    }).pipe(Effect.scoped)

  it.live("lets this machine do everything", () =>
    Effect.gen(function*() {
      const { request, url } = yield* serve({ auth: Auth.none })
      const { body, status } = yield* request("/queues/mail/pause", { method: "POST", headers: changeOf(url) })
      assert.deepStrictEqual([status, body], [200, { changed: true }])
    }).pipe(Effect.scoped))

  it.live.each(["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "127.0.0.1@evil.example"])(
    "refuses a page whose name was made to point here (%s)",
    (host) =>
      Effect.gen(function*() {
        assert.deepInclude(yield* ask({ host }), { status: 403, reason: "NotLoopback" })
      })
  )

  it.live.each(["localhost", "127.0.0.1:80", "[::1]:80", "127.1.2.3"])(
    "takes a name of this machine (%s)",
    (host) =>
      Effect.gen(function*() {
        assert.deepInclude(yield* ask({ host }), { status: 200 })
      })
  )

  it.each(["10.0.0.1", "192.168.1.1", "128.0.0.1", "::2", "::ffff:10.0.0.1", "127.0.0.1.2", "", "1127.0.0.1"])(
    "does not take %s for a loopback address",
    (address) => {
      assert.isFalse(isLoopbackAddress(address))
      assert.isTrue(isLoopbackAddress("::ffff:127.0.0.1"))
    }
  )

  it.live.each(["forwarded", "x-forwarded-for", "x-real-ip", "via"])(
    "refuses what came through a proxy (%s)",
    (name) =>
      Effect.gen(function*() {
        assert.deepInclude(yield* ask({ [name]: "203.0.113.9" }), { status: 403, reason: "NotLoopback" })
      })
  )

  it.live("is not mounted where everybody can connect", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(serve({ auth: Auth.none, host: "0.0.0.0" }))
      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isFailure(exit)) {
        assert.match(String(Cause.squash(exit.cause)), /Auth.none is for loopback only, and the server listens on/)
      }
      // With an Auth it is.
      yield* serve({ host: "0.0.0.0" })
    }).pipe(Effect.scoped))
})

describe("tokens", () => {
  it.live("one that nobody has is refused", () =>
    Effect.gen(function*() {
      const { request } = yield* serve()
      for (
        const authorization of ["", "Bearer", "Bearer wrong", `Basic ${token("admin")}`, `Bearer ${token("admin")}x`]
      ) {
        const { body, status } = yield* request(`/records/${id}`, { headers: { authorization } })
        assert.deepStrictEqual([status, body._tag], [401, "Unauthorized"], authorization)
      }
    }).pipe(Effect.scoped))

  it("one that is too short is refused at construction", () => {
    assert.throws(
      () => Auth.layerBearer([{ token: Redacted.make("short"), principal: principals.admin }]),
      /the token of admin has less than 16 characters/
    )
  })
})
