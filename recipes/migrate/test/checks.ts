/** What is asked of every queue and every store. */
import { JobContext, JobGroup, JobStore, JobWorker } from "capstan"
import { Effect, Exit, Layer } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import assert from "node:assert/strict"
import { setTimeout as sleep } from "node:timers/promises"
import { until } from "../../../scripts/servers/until.ts"
import { MakeReport, routes, SendMail } from "../jobs.ts"
import { move } from "../src/move.ts"
import type { Reject, Source } from "../src/source.ts"

/** The store as it is, which dies with the fiber that calls it, before or after its n-th enqueue. */
const dying = (store: JobStore.Shape, n: number, when: "before" | "after"): JobStore.Shape => {
  let calls = 0
  return Object.create(store, {
    enqueue: {
      value: (request: JobStore.EnqueueRequest) =>
        ++calls !== n
          ? store.enqueue(request)
          : when === "before"
          ? Effect.interrupt
          : Effect.andThen(store.enqueue(request), Effect.interrupt)
    }
  })
}

/** All that the store has. */
export const records = Effect.gen(function*() {
  const store = yield* JobStore.JobStore
  return (yield* store.query({ where: {}, order: "oldest", limit: 1000 })).records
})

export const run = Effect.fnUntraced(function*(source: Source, mode: "dry" | "move" = "move") {
  const rejects: Array<Reject> = []
  const report = (some: ReadonlyArray<Reject>) => Effect.sync(() => void rejects.push(...some))
  return { rejects, counts: yield* move({ source, routes, mode, report }) }
})

const Mail = JobGroup.make(SendMail, MakeReport)

/** Runs what is due, one at a time, and says which subjects came in which order. */
export const drain = Effect.fnUntraced(function*(expected: number) {
  const ran: Array<string> = []
  const note = (what: string) =>
    Effect.gen(function*() {
      const { headers } = yield* JobContext.JobContext
      ran.push(`${headers["moved-from"]} ${what}`)
    })
  const Work = JobWorker.layer(Mail, { concurrency: 1 }).pipe(
    Layer.provide(Mail.toLayer({ SendMail: ({ subject }) => note(subject), MakeReport: ({ day }) => note(day) }))
  )
  yield* Layer.build(Work)
  yield* Effect.promise(() => until("all that is due has run", () => ran.length >= expected))
  return ran
}, Effect.scoped)

/** A queue with jobs of every kind in it. */
export interface Filled {
  readonly source: Source
  /** Ids that are to move, those that are due in the order in which they are to run. */
  readonly due: ReadonlyArray<string>
  readonly later: Readonly<Record<string, number>>
  /** Of what stays, the reason by id. */
  readonly rejects: Readonly<Record<string, Reject["reason"]>>
  /** Ids that are there still, of those that wait. */
  readonly waiting: () => Promise<ReadonlyArray<string>>
  /** Adds mails with these subjects, and has workers of the queue do them; answers how to stop those. */
  readonly besides?: (
    subjects: ReadonlyArray<string>,
    handle: (subject: string) => Promise<void>
  ) => Promise<() => Promise<void>>
  /** Locks a job that waits, as who takes it does. */
  readonly lock?: (id: string) => Effect.Effect<unknown, SqlError, SqlClient>
  /** Adds a job with an id that it had before, which has moved. */
  readonly again?: () => Promise<string>
  /** What a worker does that comes while a page is being moved: the subjects that it got. */
  readonly takes?: () => Promise<ReadonlyArray<string>>
}

/** `atomic`: the page of a source and its records are one transaction. */
export const check = Effect.fnUntraced(function*(filled: Filled, atomic: boolean) {
  const { due, later, rejects, source } = filled
  const store = yield* JobStore.JobStore
  const moving = [...due, ...Object.keys(later)]
  const before = yield* Effect.promise(filled.waiting)

  const dry = yield* run(source, "dry")
  // Whether a key is held is known to the store alone.
  assert.equal(dry.counts.stored, moving.length + Object.values(rejects).filter((reason) => reason === "Held").length)
  assert.equal((yield* records).length, 0)
  assert.deepEqual(yield* Effect.promise(filled.waiting), before)

  const idOf = (headers: Readonly<Record<string, string>>) => headers["moved-from"]!.slice(source.name.length + 1)
  let kills = 0
  let onBoth = 0
  for (let n = 1, last: Exit.Exit<unknown, unknown> | undefined; last === undefined || Exit.isFailure(last); n++) {
    const dies = dying(store, n % 2 + 1, n % 3 === 0 ? "before" : "after")
    last = yield* Effect.exit(Effect.provideService(run(source), JobStore.JobStore, dies))
    if (Exit.isFailure(last)) {
      kills++
      assert.ok(Exit.hasInterrupts(last), String(last.cause))
    }
    assert.ok(kills < 50)
    const there = new Set(yield* Effect.promise(filled.waiting))
    onBoth += (yield* records).filter(({ headers }) => there.has(idOf(headers))).length
  }
  assert.equal(onBoth === 0, atomic, `${onBoth} jobs were on both sides after a kill`)
  assert.ok(kills >= 3, `killed ${kills} times`)

  const moved = yield* records
  assert.deepEqual(moved.map(({ headers }) => idOf(headers)).toSorted(), moving.toSorted())
  const scheduled = moved.filter(({ state }) => state === "scheduled")
  assert.deepEqual(Object.fromEntries(scheduled.map(({ dueAt, headers }) => [idOf(headers), dueAt])), later)

  const last = yield* run(source)
  assert.deepEqual(Object.fromEntries(last.rejects.map(({ id, reason }) => [id, reason])), rejects)
  assert.equal(last.counts.stored + last.counts.before, 0)
  const stay = new Set(Object.keys(rejects))
  assert.deepEqual((yield* Effect.promise(filled.waiting)).toSorted(), before.filter((id) => stay.has(id)).toSorted())

  const ran = yield* drain(due.length)
  assert.deepEqual(ran.map((line) => line.split(" ")[0]!.slice(source.name.length + 1)), due)
  return kills
})

/** Moves while workers of the queue take what they get: each job runs on one side. */
export const race = Effect.fnUntraced(function*({ besides, source, takes = async () => [] }: Filled) {
  if (besides === undefined) return
  const subjects = Array.from({ length: 600 }, (_, i) => `race-${i}`)
  const there: Array<string> = []
  let begin = () => {}
  const begun = new Promise<void>((resolve) => begin = resolve)
  const stop = yield* Effect.promise(() =>
    besides(subjects, async (subject) => {
      if (subjects.includes(subject)) there.push(subject)
      begin()
      await sleep(10)
    })
  )
  yield* Effect.promise(() => begun)
  const store = yield* JobStore.JobStore
  const rival: JobStore.Shape = Object.create(store, {
    enqueue: {
      value: (request: JobStore.EnqueueRequest) =>
        Effect.andThen(
          Effect.promise(async () => {
            there.push(...(await takes()).filter((subject) => subjects.includes(subject)))
          }),
          store.enqueue(request)
        )
    }
  })
  const { counts } = yield* Effect.provideService(run(source), JobStore.JobStore, rival)
  yield* Effect.promise(stop)
  const here = (yield* drain(counts.stored)).map((line) => line.split(" ")[1]!)
    // What another record held the key of has moved as well.
    .filter((subject) => subjects.includes(subject))
  assert.deepEqual([...there, ...here].toSorted(), subjects.toSorted())
  assert.ok(there.length > 0 && here.length > 0)
  return `${there.length} there, ${here.length} here`
})

/** What workers of a queue do of what its own program enqueues: all that is due. */
export const doing = async <A>(
  start: (handle: (name: string, data: unknown) => Promise<void>) => Promise<A>,
  stop: (workers: A) => Promise<void>
): Promise<ReadonlyArray<string>> => {
  const ran: Array<string> = []
  const workers = await start(async (_, data) => {
    const { date, subject } = data as { readonly date?: string; readonly subject?: string }
    ran.push(subject ?? `report of ${date}`)
  })
  await until("all that is due has run", () => ran.length >= 3)
  await stop(workers)
  return ran.toSorted()
}

/** For a queue that takes some time to move. */
export const mails = Array.from({ length: 5000 }, (_, i) => ({ to: "ada", subject: `long ${i}` }))
