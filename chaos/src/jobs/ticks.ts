/** Two schedules, which differ in what becomes of instants that passed while nobody ticked. */
import { Job, JobSchedule } from "capstan"
import { Effect, Schema } from "effect"
import type { Write } from "../ledger.ts"
import type { Stored } from "../store.ts"
import { attempting, success } from "./attempt.ts"

export class Tick extends Job.make("Tick", { payload: { at: Schema.Number, name: Schema.String }, success }) {}

export const TickLive = (write: Write) => Tick.toLayer(() => attempting(write)({ n: 0, millis: 0 }, Effect.void))

/** Milliseconds. */
export const period = 1000

const schedule = (name: "once" | "all", missed: "runOnce" | "runAll") =>
  JobSchedule.make(name, Tick, { every: period, missed, payload: ({ at, name }) => ({ at, name }) })

export const Ticks = JobSchedule.layerAll(schedule("once", "runOnce"), schedule("all", "runAll"))

/** The instants of a schedule, in order. */
export const instantsOf = (stored: ReadonlyArray<Stored>, name: "once" | "all"): ReadonlyArray<number> =>
  stored.filter(({ tag }) => tag === Tick._tag).map(({ payload }) =>
    JSON.parse(payload) as typeof Tick.payloadSchema.Type
  )
    .filter((tick) => tick.name === name).map(({ at }) => at).toSorted((a, b) => a - b)

/** Instants that have more than one record. */
export const doubledOf = (instants: ReadonlyArray<number>): number => instants.length - new Set(instants).size

/** Instants between the first and the last that have none. */
export const missedOf = (instants: ReadonlyArray<number>): number =>
  instants.length === 0 ? 0 : (instants.at(-1)! - instants[0]!) / period + 1 - new Set(instants).size
