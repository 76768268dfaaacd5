/**
 * What handlers say of their records, as a worker runs them on a store elsewhere, in real time: how each of a batch ends, how far
 * they have come through many items, that a key or a queue is limited, that a circuit opens. Answers what was done.
 */
import { Job, JobBatch, JobContext, JobGroup, JobLimit, Jobs, type JobStore, JobWorker, Step } from "capstan"
import { Clock, Effect, Exit, Layer, Option, Schedule, Schema, Stream } from "effect"

class Rejected extends Schema.TaggedError<Rejected>()("Rejected", {}) {}
class Oops extends Schema.TaggedError<Oops>()("Oops", {}) {}

class IndexDocument extends JobBatch.make("IndexDocument", {
  payload: { tenant: Schema.String, id: Schema.String },
  success: Schema.String,
  error: Rejected,
  onError: { Rejected: "dead" },
  maxAttempts: 1,
  queue: "index",
  // Longer than the test may take: a batch that runs is full.
  batch: { size: 3, within: "5 minutes", key: ({ tenant }) => tenant }
}) {}

class Import extends Job.make("Import", {
  success: Schema.Int,
  error: Oops,
  retry: Schedule.spaced("10 millis")
}) {}

const Api = JobLimit.make("api", { concurrency: 5 })
class Call extends Job.make("Call", {
  payload: { account: Schema.String, n: Schema.Int },
  limit: { by: Api, key: ({ account }) => account }
}) {}

class Print extends Job.make("Print", { payload: Schema.Int, queue: "printer" }) {}

class Push extends Job.make("Push", {
  payload: { tenant: Schema.String },
  concurrency: { key: ({ tenant }) => tenant, limit: 1 },
  breaker: { consecutive: 2, openDuration: "1500 millis" },
  retryDefects: Schedule.spaced("10 millis")
}) {}

class Group extends JobGroup.make(IndexDocument, Import, Call, Print, Push) {}

/** How long keys and queues are limited: what runs meanwhile has to end by then. */
const pause = 1500

interface Start {
  readonly what: string
  readonly attempt: number
  readonly at: number
}

/** What the handlers note, by theme. */
const makeNotes = () => ({
  batches: new Array<string>(),
  imported: new Array<string>(),
  calls: new Array<Start>(),
  prints: new Array<Start>(),
  pushes: new Array<Start>()
})

const start = (starts: Array<Start>, what: string) =>
  Effect.gen(function*() {
    const { attempt } = yield* JobContext.JobContext
    const at = yield* Clock.currentTimeMillis
    return starts.push({ what, attempt, at })
  })

const handlersOf = ({ batches, calls, imported, prints, pushes }: ReturnType<typeof makeNotes>) =>
  Group.toLayer({
    IndexDocument: (members) =>
      Effect.sync(() => {
        batches.push(members.map(({ payload }) => payload.id).toSorted().join(" "))
        return members.flatMap((member) => {
          if (member.payload.id === "omitted") return []
          const rejected = member.payload.id === "rejected"
          return [
            [member, rejected ? Exit.fail(new Rejected()) : Exit.succeed(`${member.payload.id} indexed`)] as const
          ]
        })
      }),
    Import: () =>
      Step.each("rows", {
        cursor: Schema.Int,
        every: 2,
        items: (after) => {
          imported.push(`after ${Option.getOrElse(after, () => "none")}`)
          return Stream.range(Option.getOrElse(after, () => 0) + 1, 6)
        },
        cursorOf: (row) => row,
        run: (row) =>
          Effect.suspend(() => {
            if (row === 4 && !imported.includes("failed")) {
              imported.push("failed")
              return Effect.fail(new Oops())
            }
            imported.push(String(row))
            return Effect.void
          })
      }),
    Call: ({ account, n }) =>
      Effect.gen(function*() {
        const count = yield* start(calls, `${account}${n}`)
        const { limited } = yield* JobContext.JobContext
        if (count === 1) return yield* limited("key", pause)
      }),
    Print: (n) =>
      Effect.gen(function*() {
        const count = yield* start(prints, String(n))
        const { limited } = yield* JobContext.JobContext
        if (count === 1) return yield* limited("queue", pause)
      }),
    Push: ({ tenant }) =>
      Effect.flatMap(start(pushes, tenant), () =>
        tenant === "down" && pushes.filter(({ what }) =>
              what === "down"
            ).length <= 2
          ? Effect.die(new Error("down"))
          : Effect.void)
  })

/** Waits until the record's attempt is over and its store knows. */
const rests = (id: string) =>
  Effect.flatMap(Jobs.Jobs, (jobs) =>
    Effect.repeat(Effect.delay(jobs.get(id), "20 millis"), {
      until: (found) => Option.exists(found, ({ attempt, fence, state }) => state !== "running" && fence + attempt > 0)
    }))

/** What started, with its attempt; and whether what was held back came only when it might. */
const told = (starts: ReadonlyArray<Start>, held: Start, again: Start) => [
  ...starts.map(({ attempt, what }) => `${what}, attempt ${attempt}`),
  `held for as long: ${again.at - held.at >= pause - 20}`
]

export const handlersProgram = Effect.gen(function*() {
  const notes = makeNotes()
  const worker = JobWorker.layer(Group, { shutdownGrace: 0, pollInterval: "50 millis" })
  yield* Layer.build(Layer.provide(worker, handlersOf(notes)))

  const batches = Effect.gen(function*() {
    const ids = ["a1", "b1", "omitted", "b2", "rejected", "b3"]
    const stored = yield* IndexDocument.enqueueMany(
      ids.map((id) => ({ tenant: id.startsWith("b") ? "b" : "a", id }))
    )
    const ends = yield* Effect.forEach(stored, ({ id }) =>
      Effect.match(IndexDocument.handle(id).await, {
        onSuccess: (value) => value,
        onFailure: (error) => error._tag
      }))
    return [...notes.batches.toSorted(), ...ends]
  })

  const each = Effect.gen(function*() {
    const handle = yield* Import.enqueue()
    const count = yield* handle.await
    return [...notes.imported, `${count} rows`]
  })

  const key = Effect.gen(function*() {
    const first = yield* Call.enqueue({ account: "a", n: 1 })
    yield* rests(first.id)
    const second = yield* Call.enqueue({ account: "a", n: 2 })
    const other = yield* Call.enqueue({ account: "b", n: 1 })
    yield* Effect.forEach([first, second, other], ({ await: end }) => end)
    return told(notes.calls, notes.calls[0]!, notes.calls[2]!)
  })

  const queue = Effect.gen(function*() {
    const first = yield* Print.enqueue(1)
    yield* rests(first.id)
    const second = yield* Print.enqueue(2)
    yield* Effect.forEach([first, second], ({ await: end }) => end)
    return told(notes.prints, notes.prints[0]!, notes.prints[1]!)
  })

  const breaker = Effect.gen(function*() {
    const down = yield* Push.enqueue({ tenant: "down" })
    yield* Effect.repeat(Effect.delay(Effect.sync(() => notes.pushes.length), "20 millis"), { until: (n) => n === 2 })
    const up = yield* Push.enqueue({ tenant: "up" })
    yield* Effect.forEach([down, up], ({ await: end }) => end)
    return told(notes.pushes, notes.pushes[1]!, notes.pushes[3]!)
  })

  return yield* Effect.all({ batches, each, key, queue, breaker }, { concurrency: "unbounded" })
}).pipe(Effect.scoped, Effect.provide(Jobs.layer)) satisfies Effect.Effect<unknown, unknown, JobStore.JobStore>

export const handlersProgramDoes = {
  batches: [
    "a1 omitted rejected",
    "b1 b2 b3",
    "a1 indexed",
    "b1 indexed",
    "JobDead",
    "b2 indexed",
    "Rejected",
    "b3 indexed"
  ],
  each: ["after none", "1", "2", "3", "failed", "after 3", "4", "5", "6", "6 rows"],
  key: ["a1, attempt 1", "b1, attempt 1", "a1, attempt 1", "a2, attempt 1", "held for as long: true"],
  queue: ["1, attempt 1", "1, attempt 1", "2, attempt 1", "held for as long: true"],
  breaker: ["down, attempt 1", "down, attempt 2", "up, attempt 1", "down, attempt 3", "held for as long: true"]
}
