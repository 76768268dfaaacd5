/**
 * Three payouts: one is approved, one is refused, and about one nobody decides. Two of them end as if nothing had been done.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { JobStore } from "capstan"
import { Console, Effect, Layer, Redacted, Schedule } from "effect"
import { Bank } from "./bank.ts"
import { Decision, Payout } from "./jobs.ts"
import { workerLive } from "./worker.ts"

// Yours comes from the configuration of every process that signs or checks.
const secret = Redacted.make("an example's secret is no secret at all")

/** What the HTTP endpoint of the link does. */
const follow = (token: string, isApproved: boolean) =>
  Effect.catchTag(
    Decision.completeByToken(token, { isApproved, by: "ada" }, { secret }),
    "InvalidToken",
    ({ reason }) => Effect.succeed(reason)
  )

const mailAbout = (payee: string) =>
  Effect.flatMap(Bank, ({ inbox }) =>
    Effect.suspend(() => {
      const token = inbox(payee)
      return token === undefined ? Effect.fail("not yet") : Effect.succeed(token)
    })).pipe(Effect.retry(Schedule.spaced("10 millis")))

const outcome = (payee: string, id: string) =>
  Payout.handle(id).await.pipe(
    Effect.map(({ approvedBy, transfer }) => `${payee}: ${transfer}, approved by ${approvedBy}`),
    Effect.catch((error) => Effect.succeed(`${payee}: ${error.message}`)),
    Effect.flatMap(Console.log)
  )

const program = Effect.gen(function*() {
  const bob = yield* Payout.enqueue({ payee: "bob", cents: 500 })
  const token = yield* mailAbout("bob")
  yield* Console.log(`a forged link: ${yield* follow(`${token.slice(0, -4)}AAAA`, true)}`)
  yield* Console.log(`the link: ${yield* follow(token, true)}`)
  yield* outcome("bob", bob.id)

  const eve = yield* Payout.enqueue({ payee: "eve", cents: 900_000 })
  yield* follow(yield* mailAbout("eve"), false)
  yield* outcome("eve", eve.id)

  const zoe = yield* Payout.enqueue({ payee: "zoe", cents: 100 })
  yield* outcome("zoe", zoe.id)

  for (const line of (yield* Bank).ledger) yield* Console.log(`bank: ${line}`)
})

const Live = workerLive({ secret, patience: "3 seconds" }).pipe(
  Layer.provideMerge(Bank.layer),
  Layer.provideMerge(JobStore.layerMemory())
)

NodeRuntime.runMain(Effect.provide(program, Live))
