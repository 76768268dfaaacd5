/**
 * A payout that a person has to approve: what is stored of it, and what it waits for. Declarations only.
 */
import { Job, JobGroup, Waitpoint } from "capstan"
import { Schema } from "effect"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {
  override get message() {
    return `refused: ${this.why}`
  }
}

/** What whoever follows the link of the mail says. */
export class Decision extends Waitpoint.make("Decision", {
  success: Schema.Struct({ isApproved: Schema.Boolean, by: Schema.String })
}) {}

export class Payout extends Job.make("Payout", {
  payload: { payee: Schema.String, cents: Schema.Int },
  success: Schema.Struct({ transfer: Schema.String, approvedBy: Schema.String }),
  error: Refused,
  // Nobody's answer changes when it is asked for again.
  onError: { Refused: "dead" }
}) {}

export class Payouts extends JobGroup.make(Payout) {}
