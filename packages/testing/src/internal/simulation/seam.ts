/**
 * What a store must do though core has no public option for it yet: dependencies, waitpoints and children. A worker of
 * another kind causes them, which speaks to the seam alone, in a process whose replies get lost like those of the others.
 */
import { JobRecord, type JobStore } from "capstan"
import { Effect, Schedule } from "effect"
import { type Choices, choicesOf } from "./choices.ts"
import type { Node } from "./node.ts"

const queue = "steps"
const handles = [{ tag: "Steps", version: 1 }]
const keep: JobRecord.Keep = { age: Infinity, count: Infinity }
const waitpoint = "go"

/** A record as core would make it. */
const newRecord = (id: string, given: Partial<JobStore.NewRecord>): JobStore.NewRecord => ({
  id: JobRecord.JobId(id),
  tag: "Work",
  version: 1,
  queue: "default",
  priority: 0,
  payload: JSON.stringify({ millis: 100, failures: 0 }),
  delay: 0,
  retention: { completed: keep, cancelled: keep, dead: keep },
  sensitive: { payload: [], result: [], error: [], progress: [] },
  tags: [],
  headers: {},
  ...given
})

/** Makes the records of this kind, under ids of their own. */
export class SeamRecords {
  private readonly choices: Choices
  private made = 0

  constructor(choices: Choices) {
    this.choices = choices
  }

  private id(): string {
    return `00000000-0000-7000-8000-${(++this.made).toString(16).padStart(12, "0")}`
  }

  /** Waits for a signal, then for its children, then completes. */
  steps(): JobStore.NewRecord {
    return newRecord(this.id(), { tag: "Steps", queue, payload: "null" })
  }

  /** Work that waits for others. */
  dependent(on: ReadonlyArray<string>): JobStore.NewRecord {
    const dependencies = on.map((id, i) => ({ name: `d${i}`, id: JobRecord.JobId(id) }))
    return newRecord(this.id(), { dependencies, delay: this.choices.chance(0.2) ? 3000 : 0 })
  }

  /** A list with what waits for it, and what waits for that: a whole. */
  flow(): ReadonlyArray<JobStore.NewRecord> {
    const onFailure = () => this.choices.pick(["fail", "cancelSiblings", "continue"] as const)
    const work = (dependencies: ReadonlyArray<JobStore.Dependency>) =>
      newRecord(this.id(), {
        dependencies,
        payload: JSON.stringify({ millis: this.choices.between(1, 2000), failures: this.choices.chance(0.2) ? 20 : 0 })
      })
    const leaves = Array.from({ length: this.choices.between(1, 4) }, () => work([]))
    const middle = work(leaves.map(({ id }) => ({ name: "leaf", id, onFailure: onFailure() })))
    return [...leaves, middle, work([{ name: "middle", id: middle.id, onFailure: onFailure() }])]
  }

  child(parent: JobRecord.JobId): JobStore.NewRecord {
    return newRecord(this.id(), {
      parent,
      payload: JSON.stringify({ millis: this.choices.between(1, 1000), failures: this.choices.chance(0.2) ? 1 : 0 })
    })
  }
}

/** A turn every two seconds, for as long as the scope lives. */
export const seamWorker = (
  node: Node,
  store: JobStore.Shape,
  records: SeamRecords,
  lease: number
): Effect.Effect<never, never, never> => {
  const choices = choicesOf(node.world.seed, "seam signals")
  const worker = "seam"
  let outbox: ReadonlyArray<JobStore.Settlement> = []

  const signal = (id: JobRecord.JobId) =>
    Effect.sleep(choices.between(1, 3000)).pipe(
      Effect.andThen(Effect.eventually(Effect.tapError(
        store.signal({ id, waitpoint, value: "1" }),
        () => Effect.sleep(500)
      ))),
      Effect.forkDetach
    )

  const settlementOf = (claimed: JobStore.Claimed): JobStore.Settlement => {
    const at = { id: claimed.id, fence: claimed.fence, finishedAfter: 0 }
    if (claimed.checkpoints[waitpoint] === undefined) return { ...at, outcome: { _tag: "WaitFor", waitpoint } }
    if (Object.keys(claimed.dependencies).length === 0) {
      const children = [records.child(claimed.id), records.child(claimed.id)]
      return { ...at, outcome: { _tag: "WaitForChildren" }, children }
    }
    return { ...at, outcome: { _tag: "Complete", result: String(claimed.fence) } }
  }

  const turn = Effect.gen(function*() {
    // What it does not know that it holds is given back: the reply that told of it was lost.
    yield* store.renew({ worker, lease, queues: [queue], handles, holding: outbox, reconcileOlderThan: 0 })
    const demand = [{ queue, slots: 4, share: 4 }]
    const { claimed } = yield* store.exchange({ worker, lease, settlements: outbox, demand, total: 4 })
    outbox = claimed.map(settlementOf)
    for (const { id, outcome } of outbox) if (outcome._tag === "WaitFor") yield* signal(id)
  })
  // A turn that failed is made again soon: two in a row would let the lease end, and nobody died.
  const turns = Effect.retry(turn, { schedule: Schedule.spaced(500), times: 3 })
  return Effect.forever(Effect.andThen(Effect.sleep(2000), Effect.ignore(turns)))
}
