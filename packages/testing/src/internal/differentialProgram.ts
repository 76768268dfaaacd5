/**
 * The language of the random programs of `differential.ts`: calls in words that hold for any store, and what they are made of.
 */
import type { JobStore } from "capstan"
import { Arbitrary, Schema } from "effect"

const Nth = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))
const Queue = Schema.Literals(["a", "b"])
const Worker = Schema.Literals(["v", "w"])

export const kinds = {
  plain: {},
  delayed: { delay: 1000 },
  high: { priority: 5 },
  keyed: { concurrency: { key: "k", limit: 1 } },
  expiring: { startBefore: 2000 },
  expiringLater: { startBefore: 2000, delay: 1000 },
  idempotent: { idempotencyKey: "i" },
  forgotten: {
    retention: {
      completed: { age: 0, count: 0 },
      cancelled: { age: 5000, count: Infinity },
      dead: { age: Infinity, count: 1 }
    }
  },
  cancelledOn: { cancelOn: ["e"] },
  completedOn: { cancelOn: ["e"], completeOn: ["f"] },
  keep: { unique: { key: "u", until: "finished", onConflict: "keep" } },
  replace: { unique: { key: "u", until: "finished", onConflict: "replace" } },
  reschedule: { delay: 3000, unique: { key: "u", until: "finished", onConflict: "reschedule" } },
  runAfter: { unique: { key: "u", until: "finished", onConflict: "runAfter" } },
  trailing: { unique: { key: "t", until: { windowMillis: 2000 }, onConflict: "trailing" } },
  started: { unique: { key: "s", until: "started", onConflict: "keep" } },
  keyedUnique: {
    concurrency: { key: "k", limit: 1 },
    unique: { key: "u", until: "finished", onConflict: "runAfter" }
  }
} satisfies Record<string, Partial<JobStore.NewRecord>>

/**
 * What is over at some instant: it has expired, or is past its age. Stores notice it at that instant, in the next exchange or when they
 * are maintained, and one that has not swept it may hide it or show it. So it is in half of the programs, and these
 * maintain both stores after every step; in the others nobody maintains them but the program.
 */
export const passing: ReadonlySet<keyof typeof kinds> = new Set(["expiring", "expiringLater", "forgotten"])

const failure: JobStore.NewFailure = { kind: "Declared", tag: "Oops", message: "oops" }

export const outcomes = {
  complete: { _tag: "Complete", result: "1" },
  retry: { _tag: "RetryAfter", delay: 0, failure },
  retryLater: { _tag: "RetryAfter", delay: 1000, failure },
  uncharged: { _tag: "RetryAfter", delay: 0, failure, uncharged: true },
  snooze: { _tag: "SnoozeFor", delay: 1000 },
  wait: { _tag: "WaitFor", waitpoint: "x" },
  waitUntil: { _tag: "WaitFor", waitpoint: "x", delay: 1000 },
  children: { _tag: "WaitForChildren" },
  cancel: { _tag: "Cancel", reason: "settled" },
  dead: { _tag: "Dead", reason: "Failed", failure },
  release: { _tag: "Release" },
  park: { _tag: "Park", reason: "NoHandler" }
} satisfies Record<string, JobStore.Outcome>

export const events = {
  cancels: [{ on: "e", reason: "event" }],
  completes: [{ on: "f", waitpoint: "x", value: "2" }]
} satisfies Pick<JobStore.EnqueueRequest, "cancels" | "completes">

export const actions = {
  cancel: { _tag: "Cancel", reason: "asked" },
  retry: { _tag: "Retry" },
  edit: {
    _tag: "Retry",
    payload: { json: "2", version: 2, sensitive: { payload: ["/a"], result: [], error: [], progress: [] } }
  },
  promote: { _tag: "Promote" },
  now: { _tag: "Reschedule", delay: 0 },
  later: { _tag: "Reschedule", delay: 2000 },
  raise: { _tag: "Reprioritise", priority: 7 },
  delete: { _tag: "Delete" }
} satisfies Record<string, JobStore.ControlAction>

export const selections = {
  tag: { tag: "Task" },
  queue: { queue: "a" },
  waiting: { states: ["scheduled", "ready", "blocked"] },
  ended: { states: ["completed", "cancelled", "dead"] },
  failed: { errorTag: "Oops" },
  expired: { deadReason: "Expired" },
  keyed: { blockedReason: "ConcurrencyKey" }
} satisfies Record<string, JobStore.Selection>

const keysOf = <K extends string>(table: Readonly<Record<K, unknown>>) =>
  Schema.Literals(Object.keys(table) as unknown as readonly [K, ...Array<K>])

export const addOf = (kind: Schema.Codec<keyof typeof kinds>) => Schema.TaggedStruct("Add", { kind, queue: Queue })
const Add = addOf(keysOf(kinds))
const Claim = Schema.TaggedStruct("Claim", { worker: Worker, slots: Schema.Literals([1, 3]) })
const Settle = Schema.TaggedStruct("Settle", { attempt: Nth, outcome: keysOf(outcomes) })
const Control = Schema.TaggedStruct("Control", { action: keysOf(actions), record: Nth })
const Pass = Schema.TaggedStruct("Pass", { millis: Schema.Literals([1, 1000, 6000, 31_000]) })

/** One call. What is listed twice comes more often. */
export const steps = (add: typeof Add) =>
  [
    add,
    add,
    add,
    Schema.TaggedStruct("AddAfter", { record: Nth, onFailure: Schema.Literals(["fail", "continue"]) }),
    Schema.TaggedStruct("Event", { does: Schema.Literals(["cancels", "completes"]) }),
    Claim,
    Claim,
    Claim,
    Settle,
    Settle,
    Settle,
    Schema.TaggedStruct("Write", { attempt: Nth, entry: Schema.Literals(["Step", "Undo", "Progress", "Log"]) }),
    Schema.TaggedStruct("Renew", {
      worker: Worker,
      holds: Schema.Literals(["all", "nothing"]),
      handles: Schema.Boolean
    }),
    Control,
    Control,
    Schema.TaggedStruct("ControlAll", { action: keysOf(actions), where: keysOf(selections) }),
    Schema.TaggedStruct("Signal", { record: Nth }),
    Schema.TaggedStruct("Pause", { queue: Queue, paused: Schema.Boolean }),
    Schema.TaggedStruct("Query", { where: keysOf(selections), order: Schema.Literals(["newest", "oldest"]) }),
    Schema.TaggedStruct("Maintain", {}),
    Pass
  ] as const

export const Step = Schema.Union(steps(Add))
export type Step = typeof Step.Type

export const lasting = Object.keys(kinds).filter((kind) => !passing.has(kind as keyof typeof kinds)) as ReadonlyArray<
  keyof typeof kinds
>

/** A program of at most so many steps, of all records or of those alone that end when somebody ends them. */
export const programs = (most: number, step: Schema.Codec<Step>): Arbitrary.Arbitrary<ReadonlyArray<Step>> =>
  Arbitrary.array(Arbitrary.schema(step), { minLength: 1, maxLength: most })
