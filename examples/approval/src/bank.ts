/** The third parties, in memory: what they did, in the order in which they did it. */
import { Context, Effect, Layer } from "effect"

export class Bank extends Context.Service<Bank, {
  readonly reserve: (payee: string, cents: number) => Effect.Effect<string>
  readonly free: (reservation: string) => Effect.Effect<void>
  readonly transfer: (reservation: string) => Effect.Effect<string>
  readonly mail: (payee: string, link: string) => Effect.Effect<void>
  /** The link in the mail about a payee's payout. */
  readonly inbox: (payee: string) => string | undefined
  readonly ledger: ReadonlyArray<string>
}>()("approval/Bank") {
  static readonly layer = Layer.sync(this, () => {
    const ledger: Array<string> = []
    const inbox = new Map<string, string>()
    const note = <A>(line: string, answer: A) => Effect.sync(() => (ledger.push(line), answer))
    return Bank.of({
      reserve: (payee, cents) => note(`reserved ${cents} for ${payee}`, `R-${payee}`),
      free: (reservation) => note(`freed ${reservation}`, undefined),
      transfer: (reservation) => note(`transferred ${reservation}`, `T-${reservation}`),
      mail: (payee, link) =>
        Effect.andThen(Effect.sync(() => inbox.set(payee, link)), note(`mailed about ${payee}`, undefined)),
      inbox: (payee) => inbox.get(payee),
      ledger
    })
  })
}
