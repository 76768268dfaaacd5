/**
 * The handler: reserve, ask, wait, transfer. It is run from the top in every attempt; what is done is not done again, and
 * when the payout ends without a transfer, what was reserved is freed.
 */
import { JobContext, JobWorker, Step } from "capstan"
import { type Duration, Effect, Layer, type Redacted, Schema } from "effect"
import { Bank } from "./bank.ts"
import { Decision, Payout, Payouts, Refused } from "./jobs.ts"

export const workerLive = (options: {
  readonly secret: Redacted.Redacted<string>
  /** How long somebody may take to decide. */
  readonly patience: Duration.Input
  /** The link with a token in it. */
  readonly linkOf: (token: string) => string
}) =>
  JobWorker.layer(Payouts).pipe(
    Layer.provide(Payout.toLayer(({ cents, payee }) =>
      Effect.gen(function*() {
        const bank = yield* Bank
        const reservation = yield* Step.run("reserve", { success: Schema.String }, bank.reserve(payee, cents)).pipe(
          Step.withCompensation((reservation) => bank.free(reservation))
        )
        // A link that works once, made and sent in one step: a second attempt sends no second mail.
        yield* Step.run(
          "ask",
          Effect.flatMap(
            Decision.token({ secret: options.secret, expiresIn: options.patience }),
            (token) => bank.mail(payee, options.linkOf(token))
          )
        )
        // No worker is held while somebody thinks about it.
        const { by, isApproved } = yield* Decision.awaitFor(options.patience).pipe(
          Effect.catchTag("WaitpointTimedOut", () => new Refused({ why: "nobody decided in time" }))
        )
        const { log } = yield* JobContext.JobContext
        yield* log(`${by} said ${isApproved ? "yes" : "no"}`)
        if (!isApproved) return yield* new Refused({ why: `${by} said no` })
        const transfer = yield* Step.run("transfer", { success: Schema.String }, bank.transfer(reservation))
        return { transfer, approvedBy: by }
      })
    ))
  )
