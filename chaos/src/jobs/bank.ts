/** Money that is moved between accounts of the same database: in the transaction that ends the attempt, or not at all. */
import { Job, type JobContext, type JobError } from "capstan"
import { Context, Effect, Schema } from "effect"
import type { Write } from "../ledger.ts"
import type { Stored } from "../store.ts"
import { attempting, success, work } from "./attempt.ts"

const order = { from: Schema.Int, to: Schema.Int, amount: Schema.Int }

export class Transfer extends Job.make("Transfer", { payload: { ...work, ...order }, success }) {}

export const accounts = 40

/** What each account has before anything is moved. */
export const opening = 1000

interface Order {
  readonly from: number
  readonly to: number
  readonly amount: number
}

type Ended = typeof success.Type

/** What a store has whose database is the business's. */
export class Bank extends Context.Service<Bank, {
  /** Takes from one account, does something else for so long, and gives to the other. */
  readonly move: (order: Order, between: Effect.Effect<void>) => Effect.Effect<void>
  /** Runs it in the transaction that ends the attempt. */
  readonly commit: <E>(
    attempt: Effect.Effect<Ended, E, JobContext.JobContext>
  ) => Effect.Effect<Ended | Job.Settled<Ended>, E | JobError.JobStoreError, JobContext.JobContext>
}>()("chaos/Bank") {}

export const TransferLive = (write: Write) =>
  Transfer.toLayer(({ amount, from, to, ...given }) =>
    Effect.gen(function*() {
      const bank = yield* Bank
      const attempt = attempting(write)
      return yield* bank.commit(attempt(given, bank.move({ from, to, amount }, Effect.sleep(given.millis))))
    })
  )

/** What each account must have after these. */
export const balancesAfter = (records: ReadonlyArray<Stored>): ReadonlyArray<number> => {
  const balances = Array.from({ length: accounts }, () => opening)
  for (const { payload, state, tag } of records) {
    if (tag !== Transfer._tag || state !== "completed") continue
    const { amount, from, to } = JSON.parse(payload) as Order
    balances[from - 1]! -= amount
    balances[to - 1]! += amount
  }
  return balances
}
