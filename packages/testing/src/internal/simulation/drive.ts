/**
 * Clients, operators and faults at random instants.
 */
import type { JobError, JobRecord } from "capstan"
import { JobStore } from "capstan"
import { Effect, type Scope } from "effect"
import { type Choices, choicesOf } from "./choices.ts"
import type { Cluster } from "./cluster.ts"
import { SeamRecords } from "./seam.ts"
import { jobs } from "./workload.ts"

export const drive = (
  cluster: Cluster,
  { advance, hostileFor, kills, records, until }: {
    readonly kills: boolean
    readonly records: number
    readonly hostileFor: number
    readonly until: number
    readonly advance: (millis: number) => Effect.Effect<void>
  }
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { world } = cluster
    const { now } = world
    /** What operators may do something to. */
    const operable = new Set<string>()
    const acknowledge = (id: string) => {
      operable.add(id)
      world.acknowledged.add(id)
    }
    const inBackground = <A, E>(effect: Effect.Effect<A, E, JobStore.JobStore>) =>
      effect.pipe(
        Effect.ignore,
        Effect.provideService(JobStore.JobStore, cluster.client),
        Effect.forkScoped
      )
    const ofSeam = new SeamRecords(choicesOf(world.seed, "seam"))
    yield* cluster.seam(ofSeam)
    yield* inBackground(cluster.schedules.make(cluster.client))
    const names = Object.keys(jobs).filter((name) => kills || name !== "Poison") as ReadonlyArray<keyof typeof jobs>
    const isOver = () => now() >= Math.min(hostileFor, until) || world.violations.length > 0
    // Each turn has choices of its own: what is left out of one, or finds the cluster otherwise, changes no later one.
    for (let turn = 0; !isOver(); turn++) {
      const choices = choicesOf(world.seed, `turn ${turn}`)
      const may = (what: string) => world.may(`turn ${turn}: ${what}`, what)
      const act = <A, E>(what: string, effect: Effect.Effect<A, E, JobStore.JobStore>) =>
        may(what) ? inBackground(effect) : Effect.void
      const atSeam = (what: string, record: JobStore.NewRecord) =>
        act(
          `a client enqueues ${what}`,
          Effect.map(cluster.client.enqueue({ records: [record] }), () => acknowledge(record.id))
        )
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
        yield* act(
          `a client enqueues ${payloads.length} of ${job._tag}`,
          Effect.map(enqueue, (stored) => stored.forEach(({ id }) => acknowledge(id)))
        )
      }
      for (const [name, effect] of world.use.act(choices)) yield* act(`a client uses ${name}`, effect)
      if (choices.chance(0.02)) yield* atSeam("one that waits for a signal, then for children", ofSeam.steps())
      if (choices.chance(0.03)) {
        yield* act("an operator changes a schedule", cluster.schedules.change(cluster.client, choices))
      }
      if (choices.chance(0.03) && operable.size > 0) {
        const recent = [...operable].slice(-4)
        const on = choices.chance(0.5) ? recent.slice(-2) : [choices.pick(recent)]
        yield* atSeam(`one that waits for ${on.length} others`, ofSeam.dependent(on))
      }
      if (choices.chance(0.02)) {
        const flow = ofSeam.flow()
        yield* act(
          `a client enqueues a flow of ${flow.length}`,
          Effect.map(
            cluster.client.enqueue({ records: flow, whole: flow.at(-1)!.id }),
            () => flow.forEach(({ id }) => acknowledge(id))
          )
        )
      }
      if (choices.chance(0.15) && operable.size > 0) {
        // Mostly what is new: it may still wait.
        const ids = [...operable].slice(choices.chance(0.7) ? -5 : 0)
        const [what, effect] = operate(cluster.client, choices.pick(ids) as JobRecord.JobId, choices)
        yield* act(`an operator: ${what}`, effect)
      }
      if (choices.chance(0.1)) {
        // What is ready by a limit may be too much by the next.
        const settings = choices.chance(0.5) ? { concurrency: 1 } : undefined
        yield* act(
          `an operator ${settings === undefined ? "clears the override" : "allows one at a time"} of @shared`,
          cluster.client.limits([{ _tag: "Override", name: "@shared", settings }])
        )
      }
      if (kills && choices.chance(0.01) && may("a worker is killed")) yield* cluster.killOne(choices)
      if (kills && choices.chance(0.01) && may("a worker is told to stop")) yield* cluster.terminateOne(choices)
      if (kills && choices.chance(0.01) && may("a worker freezes")) cluster.freezeOne(choices)
      if (choices.chance(0.01) && may("a worker's clock is moved")) cluster.stepClock(choices)
      if (choices.chance(0.003) && may("the store is away")) {
        world.restartUntil = now() + choices.between(100, kills ? 4000 : 500)
        world.reached("store restart")
      }
      yield* advance(choicesOf(world.seed, `pause ${turn}`).between(100, 500))
    }
  })

const operate = (
  store: JobStore.Shape,
  id: JobRecord.JobId,
  choices: Choices
): readonly [what: string, Effect.Effect<unknown, JobError.JobStoreError>] => {
  // More of one key than its limit allows: those that have no slot wait again.
  if (choices.chance(0.2)) {
    const state = choices.pick<JobRecord.State>(["completed", "dead", "cancelled"])
    const where: JobStore.Selection = { tag: "Keyed", states: [state] }
    return [`Retry ${state} Keyed`, store.control({ action: { _tag: "Retry" }, where, limit: 5 })]
  }
  // Nothing is ready for long.
  if (choices.chance(0.1)) {
    const action = choices.pick<JobStore.ControlAction>([
      { _tag: "Cancel", reason: "simulated" },
      { _tag: "Reschedule", delay: 1000 }
    ])
    return [`${action._tag} ready ones`, store.control({ action, where: { states: ["ready"] }, limit: 2 })]
  }
  const action = choices.pick<JobStore.ControlAction>([
    { _tag: "Cancel", reason: "simulated" },
    { _tag: "Retry" },
    { _tag: "Promote" },
    { _tag: "Reschedule", delay: 1000 },
    { _tag: "Reprioritise", priority: 5 }
  ])
  return [`${action._tag} ${id}`, store.control({ action, where: { ids: [id] }, limit: 1 })]
}
