/**
 * The schedules of a simulated cluster: one that every process declares, one that is data, and one that operators change all
 * the time. The first two make up for what was missed, so none of their instants may be lost; of none may one tick twice.
 */
import type { JobRecord } from "capstan"
import { JobSchedule, JobSchedules, JobStore } from "capstan"
import { Context, Effect, Layer } from "effect"
import type { Choices } from "./choices.ts"
import { layer as overlapping } from "./overlap.ts"
import { jobs } from "./workload.ts"
import type { World } from "./world.ts"

const every = 15_000
const start = 2 * every
const payload = { millis: 100, failures: 0 }

const steady = (end: number) => ({ every, start, end, missed: "runAll" } as const)

export class Schedules {
  /** Planned instants that must have their record when nothing fails any more. */
  readonly expected: ReadonlySet<string>
  private readonly end: number
  private readonly ticked = new Map<string, string>()

  private readonly hasOverlap: boolean

  constructor(end: number, hasOverlap: boolean) {
    this.end = end
    this.hasOverlap = hasOverlap
    const expected = new Set<string>()
    for (let at = start; at <= end; at += every) expected.add(keyOf("declared", at)).add(keyOf("data", at))
    this.expected = expected
  }

  /** What a process declares. */
  get layer(): Layer.Layer<never, never, JobStore.JobStore> {
    const declared = JobSchedule.layer(jobs.Work, { name: "declared", ...steady(this.end), payload: () => payload })
    return this.hasOverlap ? Layer.merge(declared, overlapping(this.end)) : declared
  }

  /** What operators make, as often as it takes. */
  make(store: JobStore.Shape): Effect.Effect<void> {
    return this.upsert(store, "data", steady(this.end)).pipe(
      Effect.tapError(() => Effect.sleep(500)),
      Effect.eventually
    )
  }

  /** Another period for a schedule, or none for a while. */
  change(store: JobStore.Shape, choices: Choices) {
    if (choices.chance(0.3)) {
      const paused = choices.chance(0.5)
      return this.on(store, ({ pause, resume }) => paused ? pause("changing") : resume("changing"))
    }
    return this.upsert(store, "changing", { every: choices.pick([5000, 7000, 10_000]), end: this.end })
  }

  private upsert(store: JobStore.Shape, name: string, options: JobSchedule.ScheduleOptions) {
    return this.on(store, ({ upsert }) => upsert(name, jobs.Work, { ...options, payload }))
  }

  private on<A, E>(store: JobStore.Shape, call: (service: JobSchedules.Shape) => Effect.Effect<A, E>) {
    return Layer.build(Layer.fresh(JobSchedules.layer)).pipe(
      Effect.provideService(JobStore.JobStore, store),
      Effect.flatMap((context) => Effect.asVoid(call(Context.get(context, JobSchedules.JobSchedules)))),
      Effect.scoped
    )
  }

  /** A record that was not there before: each planned instant has one. */
  stored({ headers, id }: JobRecord.JobRecord, step: string, world: World): void {
    const name = headers["capstan-schedule"]
    if (name === undefined) return
    const key = keyOf(name, Number(headers["capstan-tick"]))
    const other = this.ticked.get(key)
    if (other !== undefined && other !== id) world.violate(`${step}: the tick of ${key} came twice: ${other} and ${id}`)
    this.ticked.set(key, id)
  }

  get lost(): ReadonlyArray<string> {
    return [...this.expected].filter((key) => !this.ticked.has(key))
  }
}

const keyOf = (name: string, at: number): string => `${name} at ${at}`
