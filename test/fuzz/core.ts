/** What programs hand to the library: names, payloads, options, ids, cursors, filters, cron strings, tokens. */
import { Job, JobLimit, JobRecord, Jobs, JobSchedules, type JobStore, Topic, Waitpoint } from "capstan"
import { Effect, Redacted, Schema, Stream } from "effect"
import type { Arbitrary } from "./arbitrary.ts"
import { declared, type Target } from "./fuzz.ts"

class Mail extends Job.make("Mail", {
  payload: {
    to: Schema.String,
    at: Schema.optionalKey(Schema.DateFromString),
    card: Schema.optionalKey(Schema.Redacted(Schema.String))
  },
  unique: { key: ({ to }) => to },
  concurrency: { key: ({ to }) => to, limit: 1 }
}) {}
class Anything extends Job.make("Anything", { payload: Schema.Json }) {}
class Approval extends Waitpoint.make("Approval", { success: Schema.Struct({ by: Schema.String }) }) {}

const secret = Redacted.make("a secret of the fuzz run, long enough for it")
const known = "01890000-0000-7000-8000-000000000001"

const enqueueOptions = (a: Arbitrary) =>
  a.options({
    priority: () => a.pick(["low", "high", a.number()]),
    delay: () => a.pick<unknown>(["1 second", a.number(), a.text()]),
    runAt: () => a.pick<unknown>([new Date(0), a.number(), a.text()]),
    startBefore: () => a.pick<unknown>(["1 second", a.number(), a.text()]),
    idempotencyKey: () => a.text(),
    tags: () => [a.text(), a.text()],
    headers: () => ({ [a.text()]: a.text() }),
    uniqueKey: () => a.text(),
    partitionKey: () => a.text(),
    cancelOn: () => [a.text()]
  })

const selection = (a: Arbitrary) =>
  a.options({
    ids: () => [a.like(known), a.text()],
    tag: () => a.text(),
    queue: () => a.text(),
    states: () => [a.pick(JobRecord.states)],
    tags: () => [a.text()],
    flowId: () => a.like(known),
    parent: () => a.like(known),
    errorTag: () => a.text(),
    deadReason: () => a.text(),
    blockedReason: () => a.text(),
    idempotencyKey: () => a.text(),
    uniqueKey: () => a.text(),
    search: () => a.text(),
    enqueuedAfter: () => a.number(),
    enqueuedBefore: () => a.number()
  })

const cron = (a: Arbitrary) =>
  a.chance(0.3) ?
    a.text() :
    Array.from({ length: a.pick([4, 5, 5, 6, 7]) }, () =>
      a.pick([
        "*",
        "*/5",
        "0",
        "1-5",
        "5-1",
        "99",
        "MON",
        "*/0",
        "1,2,,3",
        "?",
        "L",
        "-1",
        "1.5",
        "0-59/7",
        a.text().slice(0, 5)
      ])).join(" ")

const scheduleOptions = (a: Arbitrary) => ({
  payload: { to: "a" },
  ...a.chance(0.7) ? { cron: cron(a) } : { every: a.pick<unknown>(["1 hour", a.number(), a.text()]) },
  ...a.options({
    timeZone: () => a.pick(["Europe/Berlin", a.text()]),
    start: () => a.pick<unknown>([a.number(), a.text()]),
    end: () => a.pick<unknown>([a.number(), a.text()]),
    limit: () => a.number(),
    jitter: () => a.pick<unknown>(["1 second", a.number(), a.text()]),
    missed: () => a.pick(["skip", "runOnce", "runAll", a.text()]),
    overlap: () => a.pick(["skip", "queue", "allow", a.text()])
  })
})

type Env = JobStore.JobStore | Jobs.Jobs | JobSchedules.JobSchedules

const withJobs = <A, E>(use: (jobs: Jobs.Shape) => Effect.Effect<A, E>) => Effect.flatMap(Jobs.Jobs, use)
const withSchedules = <A, E>(use: (schedules: JobSchedules.Shape) => Effect.Effect<A, E>) =>
  Effect.flatMap(JobSchedules.JobSchedules, use)

const ofStore = ["JobStoreError"]
const ofEnqueue = ["EnqueueError", ...ofStore]
const ofControl = ["JobControlError", ...ofStore]
const ofSchedule = ["ScheduleError", ...ofEnqueue]

const target = (
  name: string,
  errors: ReadonlyArray<string>,
  make: (a: Arbitrary) => readonly [input: unknown, call: () => Effect.Effect<unknown, unknown, Env>]
): Target<Env> => ({
  name,
  errors,
  call: (arbitrary, note) => {
    const [input, call] = make(arbitrary)
    note(input)
    return call()
  }
})

// What types would not let pass, a program in another language, or one without types, hands over all the same.
const untyped = <A>(value: unknown): A => value as A

export const targets: ReadonlyArray<Target<Env>> = [
  target("the name of a job", ["Declaration"], (a) => {
    const name = a.like("SendMail")
    const options = a.options({ queue: () => a.text(), maxAttempts: () => a.number(), timeout: () => a.text() })
    return [{ name, options }, () => declared(() => Job.make(name, untyped<undefined>(options)))]
  }),
  target("the name of a limit", ["Declaration"], (a) => {
    const name = a.like("provider")
    const options = a.options({ concurrency: () => a.number(), rate: () => ({ limit: a.number(), per: a.text() }) })
    return [{ name, options }, () => declared(() => JobLimit.make(name, untyped(options)))]
  }),
  target("the name of a topic and of a waitpoint", ["Declaration"], (a) => {
    const name = a.like("orders")
    return [name, () => declared(() => [Topic.make(name, {} as never), Waitpoint.make(name)])]
  }),
  target("a payload", ofEnqueue, (a) => {
    const payload = a.chance(0.5) ? { to: a.text(), ...a.options({ at: () => new Date(a.number()) }) } : a.value()
    return [payload, () => Mail.enqueue(untyped(payload))]
  }),
  target("a payload of JSON", ofEnqueue, (a) => {
    const payload = a.value(6)
    return [payload, () => Anything.enqueue(untyped(payload))]
  }),
  target("options of an enqueue", ofEnqueue, (a) => {
    const options = enqueueOptions(a)
    return [options, () => Mail.enqueue({ to: "a" }, untyped(options))]
  }),
  target("many payloads", ofEnqueue, (a) => {
    const payloads = Array.from({ length: a.below(4) }, () => a.chance(0.5) ? { to: a.text() } : a.value())
    const options = enqueueOptions(a)
    return [{ payloads, options }, () => Mail.enqueueMany(untyped(payloads), untyped(options))]
  }),
  target("an id", [...ofControl, ...ofEnqueue], (a) => {
    const id = a.like(known)
    const reason = a.text()
    return [{ id, reason }, () =>
      withJobs((jobs) =>
        Effect.all([
          jobs.get(id),
          jobs.cancel(id, { reason }),
          Effect.ignore(jobs.editAndReplay(Mail, id, { to: "b" })),
          jobs.editAndReplayJson(Mail, id, a.text()) as Effect.Effect<unknown, unknown>
        ])
      )]
  }),
  target("a page", ofControl, (a) => {
    const query = {
      ...selection(a),
      ...a.options({ cursor: () => a.text(), limit: () => a.number(), order: () => a.text() })
    }
    return [query, () => withJobs((jobs) => jobs.query(untyped(query)))]
  }),
  target("a cursor that was given, changed", ofControl, (a) => {
    const change = a.next()
    return [change, () =>
      withJobs((jobs) =>
        Effect.gen(function*() {
          const { cursor } = yield* jobs.query({ limit: 1 })
          if (cursor._tag === "None") return
          yield* jobs.query({ limit: 2, cursor: a.like(cursor.value) })
        })
      )]
  }),
  target("a stream", ofControl, (a) => {
    const query = { ...selection(a), ...a.options({ limit: () => a.number() }) }
    return [query, () => withJobs((jobs) => Stream.runDrain(Stream.take(jobs.stream(untyped(query)), 100)))]
  }),
  target("what an action selects", ofControl, (a) => {
    const where = selection(a)
    const action = a.below(6)
    const given = a.pick<unknown>([a.text(), a.number()])
    return [{ where, action, given }, () =>
      withJobs((jobs): Effect.Effect<unknown, unknown> => {
        const chosen = untyped<JobStore.Selection>({ ...where, ids: (where["ids"] ?? [known]) as never })
        switch (action) {
          case 0:
            return jobs.cancelMany(chosen, { reason: String(given) })
          case 1:
            return jobs.retry(chosen)
          case 2:
            return jobs.reschedule(chosen, untyped(a.chance(0.5) ? { delay: given } : { runAt: given }))
          case 3:
            return jobs.reprioritise(chosen, untyped(given))
          case 4:
            return jobs.delete(chosen)
          default:
            return jobs.purge(chosen)
        }
      })]
  }),
  target("the name of a queue", ofStore, (a) => {
    const queue = a.text()
    return [queue, () => withJobs((jobs) => Effect.all([jobs.pause(queue), jobs.resume(queue), jobs.drain(queue)]))]
  }),
  target("a limit by hand", ofControl, (a) => {
    const of = a.chance(0.5) ? { queue: a.text() } : { key: a.text() }
    const options = a.options({
      concurrency: () => a.number(),
      rate: () => ({ limit: a.number(), per: a.pick<unknown>([a.text(), a.number(), "1 second"]), burst: a.number() })
    })
    return [
      { of, options },
      () => withJobs((jobs) => Effect.andThen(jobs.setLimit(of, untyped(options)), jobs.clearLimit(of)))
    ]
  }),
  target("a schedule", ofSchedule, (a) => {
    const name = a.like("nightly")
    const options = scheduleOptions(a)
    return [
      { name, options },
      () =>
        withSchedules((schedules) =>
          Effect.andThen(
            schedules.upsert(name, Mail, untyped(options)),
            Effect.all([schedules.get(name), schedules.list()])
          )
        )
    ]
  }),
  target("the name of a schedule", ofSchedule, (a) => {
    const name = a.like("nightly")
    const action = a.below(5)
    return [{ name, action }, () =>
      withSchedules((schedules): Effect.Effect<unknown, unknown> =>
        [
          schedules.pause(name, { reason: a.text() }),
          schedules.resume(name),
          schedules.runNow(name),
          schedules.remove(name),
          schedules.list({ after: name })
        ][action]!
      )]
  }),
  target("a waitpoint's token", ["InvalidToken", "SchemaError", ...ofStore], (a) => {
    const id = a.like(known)
    const value = a.chance(0.5) ? { by: a.text() } : a.value()
    return [{ id, value }, () =>
      Effect.gen(function*() {
        const token = yield* Approval.sign(known, { secret, expiresIn: "1 hour" })
        yield* Approval.completeByToken(a.like(token), untyped(value), { secret })
        yield* Approval.complete(id, untyped(value))
      })]
  })
]
