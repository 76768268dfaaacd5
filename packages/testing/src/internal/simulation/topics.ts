/**
 * A topic with two subscribers, one of which hears of every second event: a publish reaches all that are to hear of it, or none, and
 * each of them once, however often it is made.
 */
import { Job, type JobRecord, Topic } from "capstan"
import { Effect, Schema } from "effect"
import type { Choices } from "./choices.ts"
import type { Feature } from "./features.ts"
import { common } from "./jobs.ts"
import type { World } from "./world.ts"

const Happened = Topic.make("Happened", { n: Schema.Int })

const isEven = ({ n }: { readonly n: number }): boolean => n % 2 === 0
const payload = { n: Schema.Int }
const event = ({ n }: { readonly n: number }) => ({ n })

export class HearsAll extends Job.make("HearsAll", {
  ...common,
  payload,
  on: [Topic.on(Happened, { payload: event })]
}) {}
export class HearsEven extends Job.make("HearsEven", {
  ...common,
  payload,
  on: [Topic.on(Happened, { where: isEven, payload: event })]
}) {}

export class Topics implements Feature {
  private readonly world: World
  private published = 0
  /** How many records of each event its subscribers have. */
  private readonly heard = new Map<number, { all: number; even: number }>()
  private changed = new Set<number>()

  constructor(world: World) {
    this.world = world
  }

  act(choices: Choices) {
    if (!choices.chance(0.03)) return undefined
    // Sometimes somebody tells of what is known.
    const n = choices.chance(0.3) ? Math.max(1, this.published) : ++this.published
    const publish = Effect.tap(
      Happened.publish({ n }, { idempotencyKey: String(n) }),
      (deliveries) =>
        Effect.sync(() => {
          if (deliveries.every(({ outcome }) => outcome === "Existing")) this.world.met("event is known")
        })
    )
    return this.world.acknowledge(Effect.eventually(Effect.tapError(publish, () => Effect.sleep(500))))
  }

  see(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord): void {
    if (was !== undefined || is.tag !== HearsAll._tag && is.tag !== HearsEven._tag) return
    const { n }: { readonly n: number } = JSON.parse(is.payload)
    const heard = this.heard.get(n) ?? { all: 0, even: 0 }
    heard[is.tag === HearsAll._tag ? "all" : "even"]++
    this.heard.set(n, heard)
    this.changed.add(n)
  }

  look(_: unknown, step: string): void {
    if (this.changed.size === 0) return
    for (const n of this.changed) {
      const { all, even } = this.heard.get(n)!
      if (all === 1 && even === (isEven({ n }) ? 1 : 0)) continue
      this.world.violate(`${step}: event ${n} came to one subscriber ${all} times, and to the other ${even} times`)
    }
    this.changed = new Set()
  }
}
