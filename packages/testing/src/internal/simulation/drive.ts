/**
 * Clients, operators and faults at random instants.
 */
import type { JobError, JobRecord } from "capstan"
import { JobStore } from "capstan"
import { Effect, type Scope } from "effect"
import type { Cluster } from "./cluster.ts"
import { SeamRecords } from "./seam.ts"
import { jobs } from "./workload.ts"
import type { Choices } from "./world.ts"

export const drive = (
  cluster: Cluster,
  { advance, hostileFor, kills, records }: {
    readonly kills: boolean
    readonly records: number
    readonly hostileFor: number
    readonly advance: (millis: number) => Effect.Effect<void>
  }
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { choices, now } = cluster.world
    /** What operators may do something to. */
    const operable = new Set<string>()
    const acknowledge = (id: string) => {
      operable.add(id)
      cluster.world.acknowledged.add(id)
    }
    const inBackground = <A, E>(effect: Effect.Effect<A, E, JobStore.JobStore>) =>
      effect.pipe(
        Effect.ignore,
        Effect.provideService(JobStore.JobStore, cluster.client),
        Effect.forkScoped
      )
    const ofSeam = new SeamRecords(choices)
    yield* cluster.seam(ofSeam)
    yield* inBackground(cluster.schedules.make(cluster.client))
    const atSeam = (record: JobStore.NewRecord) =>
      inBackground(Effect.map(cluster.client.enqueue({ records: [record] }), () => acknowledge(record.id)))
    const names = Object.keys(jobs).filter((name) => kills || name !== "Poison") as ReadonlyArray<keyof typeof jobs>
    const isOver = () => now() >= hostileFor || cluster.world.violations.length > 0
    while (!isOver()) {
      if (choices.chance(records / (hostileFor / 300))) {
        // Poison is rare.
        const name = choices.chance(0.2)
          ? "Keyed"
          : choices.chance(0.15)
          ? "Urgent"
          : choices.chance(0.15)
          ? "Limited"
          : choices.pick(names)
        const job = jobs[name === "Poison" && choices.chance(0.7) ? "Work" : name]
        // What has a rate comes in bursts, of short runs: else nothing would tell that it is kept.
        const isBurst = name === "Limited" && choices.chance(0.4)
        const payload = () => ({
          millis: choices.between(1, isBurst ? 200 : 4000),
          failures: !isBurst && choices.chance(0.3) ? choices.between(1, 2) : 0
        })
        // Batches come of what comes together.
        const payloads = Array.from({ length: isBurst ? 6 : name === "Batched" ? 4 : 1 }, payload)
        const enqueue = job.enqueueMany(payloads, {
          delay: !isBurst && choices.chance(0.3) ? choices.between(1, 5000) : 0
        })
        yield* inBackground(Effect.map(enqueue, (stored) => stored.forEach(({ id }) => acknowledge(id))))
      }
      for (const act of cluster.world.use.act(choices)) yield* inBackground(act)
      if (choices.chance(0.02)) yield* atSeam(ofSeam.steps())
      if (choices.chance(0.03)) yield* inBackground(cluster.schedules.change(cluster.client, choices))
      if (choices.chance(0.03) && operable.size > 0) {
        const recent = [...operable].slice(-4)
        yield* atSeam(ofSeam.dependent(choices.chance(0.5) ? recent.slice(-2) : [choices.pick(recent)]))
      }
      if (choices.chance(0.02)) {
        const flow = ofSeam.flow()
        yield* inBackground(Effect.map(
          cluster.client.enqueue({ records: flow, whole: flow.at(-1)!.id }),
          () => flow.forEach(({ id }) => acknowledge(id))
        ))
      }
      if (choices.chance(0.15) && operable.size > 0) {
        // Mostly what is new: it may still wait.
        const ids = [...operable].slice(choices.chance(0.7) ? -5 : 0)
        yield* inBackground(operate(cluster.client, choices.pick(ids) as JobRecord.JobId, choices))
      }
      if (choices.chance(0.1)) {
        // What is ready by a limit may be too much by the next.
        const settings = choices.chance(0.5) ? { concurrency: 1 } : undefined
        yield* inBackground(cluster.client.limits([{ _tag: "Override", name: "@shared", settings }]))
      }
      if (kills && choices.chance(0.01)) yield* cluster.killOne
      if (kills && choices.chance(0.01)) cluster.freezeOne()
      if (choices.chance(0.01)) cluster.stepClock()
      if (choices.chance(0.003)) {
        cluster.world.restartUntil = now() + choices.between(100, kills ? 4000 : 500)
        cluster.world.reached("store restart")
      }
      yield* advance(choices.between(100, 500))
    }
  })

const operate = (
  store: JobStore.Shape,
  id: JobRecord.JobId,
  choices: Choices
): Effect.Effect<unknown, JobError.JobStoreError> => {
  // More of one key than its limit allows: those that have no slot wait again.
  if (choices.chance(0.2)) {
    const state = choices.pick<JobRecord.State>(["completed", "dead", "cancelled"])
    const where: JobStore.Selection = { tag: "Keyed", states: [state] }
    return store.control({ action: { _tag: "Retry" }, where, limit: 5 })
  }
  // Nothing is ready for long.
  if (choices.chance(0.1)) {
    const action = choices.pick<JobStore.ControlAction>([
      { _tag: "Cancel", reason: "simulated" },
      { _tag: "Reschedule", delay: 1000 }
    ])
    return store.control({ action, where: { states: ["ready"] }, limit: 2 })
  }
  const action = choices.pick<JobStore.ControlAction>([
    { _tag: "Cancel", reason: "simulated" },
    { _tag: "Retry" },
    { _tag: "Promote" },
    { _tag: "Reschedule", delay: 1000 },
    { _tag: "Reprioritise", priority: 5 }
  ])
  return store.control({ action, where: { ids: [id] }, limit: 1 })
}
