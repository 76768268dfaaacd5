/**
 * Waitpoints that several complete: the first one wins, also when it comes before the record waits, and every attempt of it
 * sees the same.
 */
import { Job, Waitpoint } from "capstan"
import { Effect, Schema } from "effect"
import type { Choices } from "./choices.ts"
import type { Feature } from "./features.ts"
import { common } from "./jobs.ts"
import type { World } from "./world.ts"

export class Approval extends Waitpoint.make("Approval", { success: Schema.Int }) {}

export class Approved extends Job.make("Approved", common) {}

/** What a handler has when nobody came in time. */
const nobody = 0

/** In a handler: what its waitpoint was completed with. */
export const approval = Effect.catchTag(
  Approval.awaitFor("4 seconds"),
  "WaitpointTimedOut",
  () => Effect.succeed(nobody)
)

export class Approvals implements Feature {
  private readonly world: World
  /** Who was told to be the first, by record. */
  private readonly first = new Map<string, number>()
  private readonly seen = new Map<string, number>()

  constructor(world: World) {
    this.world = world
  }

  act(choices: Choices) {
    if (!choices.chance(0.03)) return undefined
    const given = { millis: choices.between(100, 1500), failures: choices.between(0, 2) }
    const rivals = [1, 2, 3].map((value) => [value, choices.between(0, 6000)] as const)
    return Effect.gen({ self: this }, function*() {
      const { id } = yield* Approved.enqueue(given)
      this.world.acknowledged.add(id)
      yield* Effect.forEach(rivals, ([value, after]) => this.complete(id, value, after), { concurrency: "unbounded" })
    })
  }

  private complete(id: string, value: number, after: number) {
    return Effect.gen({ self: this }, function*() {
      yield* Effect.sleep(after)
      const answer = yield* Effect.eventually(Effect.tapError(Approval.complete(id, value), () => Effect.sleep(500)))
      if (answer === "NotFound") return
      this.world.met(`waitpoint is completed: ${answer}`)
      if (answer === "TooLate") return
      const first = this.first.get(id)
      if (first !== undefined) this.world.violate(`${first} and ${value} were the first to complete ${id}`)
      this.first.set(id, value)
      this.check(id)
    })
  }

  /** A handler goes on with it. */
  saw(id: string, value: number): void {
    const before = this.seen.get(id)
    if (value === nobody) this.world.met("waitpoint times out")
    if (before !== undefined && before !== value) {
      this.world.violate(`an attempt of ${id} saw ${before} at its waitpoint, and a later one ${value}`)
    }
    this.seen.set(id, value)
    this.check(id)
  }

  private check(id: string): void {
    const first = this.first.get(id)
    const seen = this.seen.get(id)
    if (first === undefined || seen === undefined || first === seen) return
    this.world.violate(`${first} was the first to complete ${id}, which saw ${seen} at its waitpoint`)
  }
}
