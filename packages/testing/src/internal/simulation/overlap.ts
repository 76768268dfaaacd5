/**
 * Schedules whose records may not run beside each other, of runs that take longer than their period: one skips ticks, one
 * queues them, and one cancels what a tick finds.
 */
import { Job, JobRecord, JobSchedule, type JobStore } from "capstan"
import type { Layer } from "effect"
import type { Feature } from "./features.ts"
import { common } from "./jobs.ts"
import type { World } from "./world.ts"

export class Overlapping extends Job.make("Overlapping", common) {}

const every = 8000
const rules = { skipping: "skip", queueing: "queue", cancelling: "cancelPrevious" } as const
type Name = keyof typeof rules

/** What a process declares. */
export const layer = (end: number): Layer.Layer<never, never, JobStore.JobStore> => {
  const declare = (name: Name) =>
    JobSchedule.make(name, Overlapping, {
      every,
      start: every,
      end,
      missed: "runAll",
      overlap: rules[name],
      // Now shorter than the period, now longer.
      payload: ({ at }) => ({ millis: 1 + (at / every) % 4 * 4000, failures: at % 3 === 0 ? 1 : 0 })
    })
  return JobSchedule.layerAll(declare("skipping"), declare("queueing"), declare("cancelling"))
}

export class Overlap implements Feature {
  private readonly world: World
  private readonly live: Readonly<Record<Name, Map<string, JobRecord.JobRecord>>> = {
    skipping: new Map(),
    queueing: new Map(),
    cancelling: new Map()
  }

  constructor(world: World) {
    this.world = world
  }

  act() {
    return undefined
  }

  see(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord): void {
    if (is.tag !== Overlapping._tag) return
    const live = this.live[is.headers["capstan-schedule"] as Name]
    if (JobRecord.isFinal(is.state)) live.delete(is.id)
    else live.set(is.id, is)
    // Until the run before it has ended.
    if (is.state !== was?.state && is.blocked?.reason === "Dependencies") this.world.met("tick is queued")
    if (is.state === "cancelled" && was?.state === "running") this.world.met("tick cancels what runs")
  }

  look(_: unknown, step: string): void {
    const { cancelling, queueing, skipping } = this.live
    if (skipping.size > 1) {
      this.world.violate(`${step}: ${skipping.size} records are live of a schedule that skips what overlaps`)
    }
    const running = [...queueing.values()].filter(({ state }) => state === "running")
    if (running.length > 1) {
      this.world.violate(`${step}: ${running.length} records run of a schedule that queues what overlaps`)
    }
    // What is told to end may take its time.
    const left = [...cancelling.values()].filter(({ cancelRequested }) => cancelRequested === undefined)
    if (left.length > 1) {
      this.world.violate(`${step}: ${left.length} records go on of a schedule that cancels what overlaps`)
    }
  }

  /** What the store said of ticks. */
  ticked(reply: JobStore.TickReply | undefined): void {
    if (reply?.outcomes.some(({ outcome }) => outcome === "Skipped")) this.world.met("tick is skipped")
  }
}
