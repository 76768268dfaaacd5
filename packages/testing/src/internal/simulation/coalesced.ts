/**
 * Enqueues that become one: those of a debounced job put its waiting record off, for so long and no longer, and while one runs the last of
 * them is kept; those of a throttled job run no more than once in a window. The last payload is never lost.
 */
import { Job, type JobRecord } from "capstan"
import { Effect, Schema } from "effect"
import type { Choices } from "./choices.ts"
import type { Feature } from "./features.ts"
import { common } from "./jobs.ts"
import type { World } from "./world.ts"

const maxWait = 2000
const window = 3000
const payload = { ...common.payload, n: Schema.Int }

export class Debounced extends Job.make("Debounced", {
  ...common,
  payload,
  unique: { key: () => "d", onConflict: "replace", maxWait }
}) {}
export class Throttled extends Job.make("Throttled", {
  ...common,
  payload,
  unique: { key: () => "t", onConflict: "trailing", until: { window } }
}) {}

const numberOf = (record: JobRecord.JobRecord): number => (JSON.parse(record.payload) as { readonly n: number }).n

/** And by nothing else since the last look: operators change no payload, and may put off what is ready for as long as they like. */
const isByEnqueue = (was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord): boolean =>
  was === undefined || was.payload !== is.payload && is.fence === was.fence + 1

export class Coalesced implements Feature {
  private readonly world: World
  private enqueued = 0
  /** Many come for a while, and then none. */
  private until = 0
  /** The last that a client was told of, by tag. */
  private readonly last = new Map<string, number>()
  /** Of those that a client was told of, the last that was on its way then: what is later came after it. */
  private readonly onTheWay = new Map<number, number>()
  /** The last record of the throttled job, and when it was due, at the earliest. */
  private throttled: { readonly id: string; readonly due: number } | undefined
  private came: Array<JobRecord.JobRecord> = []

  constructor(world: World) {
    this.world = world
  }

  act(choices: Choices) {
    const now = this.world.now()
    if (now >= this.until) {
      if (!choices.chance(0.03)) return undefined
      this.until = now + choices.between(500, 5000)
    }
    const n = ++this.enqueued
    const given = { n, millis: choices.between(100, 3000), failures: choices.chance(0.2) ? 1 : 0 }
    const isDebounced = choices.chance(0.6)
    // A request that comes twice must not put back what has been replaced since.
    const idempotencyKey = String(n)
    const enqueue = isDebounced
      ? Debounced.enqueue(given, { delay: choices.chance(0.7) ? 1000 : 0, idempotencyKey })
      : Throttled.enqueue(given, { idempotencyKey })
    const told = Effect.tap(enqueue, () =>
      Effect.sync(() => {
        const tag = isDebounced ? Debounced._tag : Throttled._tag
        this.last.set(tag, Math.max(n, this.last.get(tag) ?? 0))
        this.onTheWay.set(n, this.enqueued)
      }))
    return this.world.acknowledge(Effect.map(told, (handle) => [handle]))
  }

  see(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord, step: string): void {
    if (is.tag === Throttled._tag && was === undefined) this.came.push(is)
    if (was !== undefined && was.payload !== is.payload) this.replaced(was, is)
    if (is.tag === Debounced._tag && is.attempts.length === 0 && isByEnqueue(was, is)) this.waits(is, step)
  }

  private replaced(was: JobRecord.JobRecord, is: JobRecord.JobRecord): void {
    if (is.tag === Throttled._tag) this.world.met("last of a window is kept")
    else if (is.tag === Debounced._tag) {
      this.world.met(was.blocked?.reason === "Unique" ? "last that comes while one runs is kept" : "record is put off")
      if (is.dueAt === is.enqueuedAt + maxWait) this.world.met("record is put off no longer")
    }
  }

  private waits(is: JobRecord.JobRecord, step: string): void {
    const { dueAt, enqueuedAt, id, state } = is
    if (state !== "scheduled" || dueAt === undefined || dueAt <= enqueuedAt + maxWait) return
    this.world.violate(`${step}: ${id} is put off for ${dueAt - enqueuedAt} ms, ${maxWait} may be`)
  }

  look(records: ReadonlyMap<string, JobRecord.JobRecord>, step: string): void {
    for (const { claimedAt, dueAt, enqueuedAt, fence, id } of this.came) {
      const before = this.throttled
      // Operators may have put it off since it came.
      this.throttled = { id, due: fence === 0 && dueAt !== undefined ? dueAt : enqueuedAt }
      if (before === undefined) continue
      const { state } = records.get(before.id)!
      // It had its window for itself.
      if (state === "dead" || state === "cancelled") continue
      if (dueAt !== undefined) this.world.met("record waits for the end of a window")
      // It may have become due since it came.
      const apart = (dueAt ?? claimedAt ?? this.world.now()) - before.due
      if (apart < window) {
        this.world.violate(`${step}: ${id} is due ${apart} ms after ${before.id}, their window is ${window}`)
      }
    }
    this.came = []
  }

  rest(records: ReadonlyMap<string, JobRecord.JobRecord>): void {
    const last = new Map<string, number>()
    for (const record of records.values()) if (this.last.has(record.tag)) last.set(record.tag, numberOf(record))
    for (const [tag, told] of this.last) {
      const kept = last.get(tag) ?? 0
      if ((this.onTheWay.get(kept) ?? Infinity) < told) {
        this.world.violate(`the last payload of ${tag} is ${kept}, and ${told} was acknowledged`)
      }
    }
  }
}
