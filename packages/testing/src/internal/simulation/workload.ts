/**
 * The jobs of a simulated cluster. Their handlers answer the fence that they ran with, so that a completion by another
 * attempt than the one that holds the record is seen.
 */
import { Job, JobBatch, JobContext, JobGroup, JobLimit, Step } from "capstan"
import { Effect, Exit, Schema } from "effect"
import { approval, Approved } from "./approvals.ts"
import { Fragile } from "./breaker.ts"
import { Debounced, Throttled } from "./coalesced.ts"
import { keyLimit, uniqueTag } from "./invariants.ts"
import { common, Failed, retention } from "./jobs.ts"
import { tag as batchTag } from "./memberLog.ts"
import type { Node } from "./node.ts"
import { Overlapping } from "./overlap.ts"
import { rate, Rated } from "./rates.ts"
import { tag as stepTag } from "./stepLog.ts"
import { HearsAll, HearsEven } from "./topics.ts"
import { Tenant } from "./turns.ts"

const SharedLimit = JobLimit.make("shared", {
  concurrency: keyLimit,
  rate: { limit: rate.limit, per: rate.perMillis, burst: rate.burst },
  order: "fair"
})

class Work extends Job.make("Work", common) {}
class Keyed extends Job.make("Keyed", {
  ...common,
  maxAttempts: 2,
  concurrency: { key: () => "k", limit: keyLimit }
}) {}
class Parent extends Job.make("Parent", { ...common, queue: "parents" }) {}
class Snoozing extends Job.make("Snoozing", { ...common, onError: { Failed: { snooze: "700 millis" } } }) {}
class Deduplicated extends Job.make(uniqueTag, { ...common, unique: { key: () => "u", onConflict: "runAfter" } }) {}
/** What follows a death, whoever decides that: see `deaths.ts`. */
class Told extends Job.make("Told", { payload: { of: Schema.String }, success: Schema.Int, retention }) {}
const onFailure = ({ id }: { readonly id: string }) => Told.request({ of: id })

class Urgent extends Job.make("Urgent", {
  ...common,
  onFailure,
  startBefore: "100 millis",
  concurrency: { key: () => "k", limit: keyLimit }
}) {}
class Limited extends Job.make("Limited", { ...common, limit: { by: SharedLimit, key: () => "k" } }) {}
class Poison extends Job.make("Poison", { ...common, onFailure }) {}

/** Steps that sleep, wait for a child and are undone. */
class Stepped extends Job.make(stepTag, { ...common, maxAttempts: 3 }) {}

/** Records that run together and end each by itself. */
class Batched extends JobBatch.make(batchTag, { ...common, queue: "bulk", batch: { size: 3, within: "1 second" } }) {}

/** What clients enqueue. */
export const jobs = { Work, Keyed, Parent, Snoozing, Deduplicated, Urgent, Limited, Poison, Stepped, Batched }

/** Those of the features. */
const featured = [
  Rated,
  Overlapping,
  HearsAll,
  HearsEven,
  Tenant,
  Fragile,
  Debounced,
  Throttled,
  Approved
] as const

const known = [
  Work,
  Keyed,
  Parent,
  Deduplicated,
  Urgent,
  Limited,
  Poison,
  Stepped,
  Batched,
  Told,
  ...featured
] as const

/** The release before knows one job less: it parks the records of it that it claims (P11). */
export class OldRelease extends JobGroup.make(...known) {}

export class NewRelease extends JobGroup.make(...known, Snoozing) {}

/** The handlers as one process runs them. */
export const handlers = (node: Node, kill: Effect.Effect<void>) => {
  let failed = new Map<string, number>()
  /** As the process sees it: it may be told to stop meanwhile. */
  const handling = <A, E, R>(handler: Effect.Effect<A, E, R>) =>
    Effect.flatMap(JobContext.JobContext, (attempt) => node.closing.running(attempt, handler))
  const work = (given: { readonly millis: number; readonly failures: number }) =>
    handling(Effect.gen(function*() {
      const { fence, id } = yield* JobContext.JobContext
      yield* Effect.sleep(given.millis)
      if (node.isKilled) return yield* Effect.never
      const times = failed.get(id) ?? 0
      failed = new Map(failed).set(id, times + 1)
      if (times < given.failures) return yield* new Failed()
      return fence
    }))
  /** Each step keeps the fence with which it ran. */
  const run = (name: string, millis: number) =>
    Effect.gen(function*() {
      const { fence, id } = yield* JobContext.JobContext
      if (node.isKilled) return yield* Effect.never
      node.world.stepLog.ran(id, name, fence)
      yield* Effect.sleep(millis)
      return fence
    })
  const undoable = (name: string, millis: number) =>
    Step.run(name, { success: Schema.Int }, run(name, millis)).pipe(
      Step.withCompensation(() => run(`${name}~undone`, millis / 2))
    )
  return NewRelease.toLayer({
    Work: work,
    Keyed: work,
    Snoozing: work,
    Deduplicated: work,
    Urgent: work,
    Rated: work,
    Overlapping: work,
    HearsAll: () => work({ millis: 50, failures: 0 }),
    HearsEven: () => work({ millis: 50, failures: 1 }),
    Tenant: work,
    Fragile: work,
    Debounced: work,
    Throttled: work,
    Approved: (given) =>
      Effect.gen(function*() {
        const value = yield* approval
        const { id } = yield* JobContext.JobContext
        if (node.isKilled) return yield* Effect.never
        node.world.use.approvals.saw(id, value)
        return yield* work(given)
      }),
    // What would be a failure of another is a third party that wants a pause.
    Limited: (given) =>
      Effect.gen(function*() {
        const { limited } = yield* JobContext.JobContext
        return yield* Effect.catch(work(given), () => limited("key", "1500 millis"))
      }),
    Parent: (given) => Effect.andThen(Work.enqueue({ millis: given.millis, failures: 0 }), work(given)),
    Told: () => Effect.orDie(work({ millis: 1, failures: 0 })),
    Batched: (members) =>
      Effect.gen(function*() {
        const { memberLog } = node.world
        memberLog.met(members.length)
        yield* Effect.sleep(Math.max(...members.map(({ payload }) => payload.millis)))
        if (node.isKilled) return yield* Effect.never
        const exits: Array<readonly [(typeof members)[number], Exit.Exit<number, Failed>]> = []
        for (const member of members) {
          const { fence, id } = member.context
          const times = failed.get(id) ?? 0
          failed = new Map(failed).set(id, times + 1)
          const said = times >= member.payload.failures ? "succeeded" : times === 0 ? "failed" : "left out"
          memberLog.say(id, fence, said)
          if (said !== "left out") {
            exits.push([member, said === "succeeded" ? Exit.succeed(fence) : Exit.fail(new Failed())])
          }
        }
        return exits
      }),
    Poison: () => Effect.andThen(kill, Effect.never),
    Stepped: (given) =>
      Effect.gen(function*() {
        // Long enough to be held up in the middle by a freeze, and to be run by another worker meanwhile.
        yield* undoable("a", 3 * given.millis)
        yield* Step.sleep("pause", given.millis)
        const child = Step.invoke("child", Work, { millis: 100, failures: 0 }, { timeout: "400 millis" })
        yield* Effect.all([Effect.ignore(child), undoable("b", 200)], { concurrency: "unbounded" })
        return yield* work(given)
      })
  })
}
