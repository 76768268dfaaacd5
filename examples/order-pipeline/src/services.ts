/**
 * The third parties, as services with a live layer that plays them: some calls fail, one customer is refused.
 */
import { Context, Effect, Layer } from "effect"
import { Refused, Unreachable } from "./jobs.ts"

/** A call to somebody else, made once per key however often it is tried. */
export class ThirdParties extends Context.Service<ThirdParties, {
  readonly call: (who: string, key: string, what: string) => Effect.Effect<string, Refused | Unreachable>
  /** What they did, in order. */
  readonly ledger: Effect.Effect<ReadonlyArray<string>>
}>()("order-pipeline/ThirdParties") {
  static readonly layer = Layer.sync(this, () => {
    const done = new Map<string, string>()
    const tries = new Map<string, number>()
    return ThirdParties.of({
      call: (who, key, what) =>
        Effect.suspend((): Effect.Effect<string, Refused | Unreachable> => {
          const id = `${who} ${key}`
          const attempt = (tries.get(id) ?? 0) + 1
          tries.set(id, attempt)
          if (what.includes("refused@")) return Effect.fail(new Refused({ by: who, why: "the customer is on a list" }))
          // Every third party is away for the first call of every second key.
          if (attempt === 1 && tries.size % 2 === 0) return Effect.fail(new Unreachable({ who }))
          if (!done.has(id)) done.set(id, `${who}: ${what}`)
          return Effect.succeed(done.get(id)!)
        }),
      ledger: Effect.sync(() => [...done.values()])
    })
  })
}
