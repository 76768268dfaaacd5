/** The hot path: one call that settles, promotes and claims. */
import type { JobError, JobStore } from "capstan"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { AllClaims } from "./claims.ts"
import { type Client, ints, numbers, texts, uuids } from "./client.ts"
import * as Codec from "./codec.ts"
import type { Mark, Marks } from "./marks.ts"

interface Reply {
  readonly now: number
  readonly lost: ReadonlyArray<number>
  readonly others: ReadonlyArray<JobStore.Settled>
  readonly nextDueIn: number | null
  readonly maintainIn: number | null
  readonly cancel: ReadonlyArray<JobStore.CancelRequest>
  readonly more: ReadonlyArray<string>
}

/** Completions that leave no children go as columns, all else as JSON. */
export const exchange = (
  client: Client,
  marks: Marks,
  claims: AllClaims
): (request: JobStore.ExchangeRequest) => Effect.Effect<JobStore.ExchangeReply, JobError.JobStoreError> => {
  const text = `SELECT ${client.schema}.exchange($1, $2::float8::bigint, $3, $4, $5::float8[]::bigint[], $6, $7, ` +
    `$8::text::json, $9, $10, $11, $12, $13, $14::float8[]::bigint[], $15::float8[]::bigint[], ` +
    `$16, $17::float8[]::bigint[], $18::float8[]::bigint[], $19::float8[]::bigint[]) AS reply`

  return (request) =>
    Clock.clockWith((clock) => {
      const { demand, lease, settlements, total, worker } = request
      const plain: Array<number> = []
      const others: Array<number> = []
      settlements.forEach(({ children, outcome }, i) => {
        const isPlain = outcome._tag === "Complete" && (children === undefined || children.length === 0)
        ;(isPlain ? plain : others).push(i)
      })
      const completed = plain.map((i) => settlements[i]!)
      const queues = demand.map(({ queue }) => queue)
      // Not the time of day, which may be set back.
      const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
      const asked = now()
      const from = marks.from(queues, asked)
      const exchanged = Effect.map(
        client.call<{ reply: string }>("exchange", text, [
          worker,
          lease,
          uuids(completed.map(({ id }) => id)),
          ints(completed.map(({ fence }) => fence)),
          numbers(completed.map(({ finishedAfter }) => Math.ceil(finishedAfter))),
          texts(completed.map(({ outcome }) => outcome._tag === "Complete" ? outcome.result ?? null : null)),
          texts(completed.map(({ trace }) => trace ?? null)),
          others.length === 0 ? null : JSON.stringify(others.map((i) => Codec.settlementJson(settlements[i]!))),
          texts(queues),
          ints(demand.map(({ slots }) => slots)),
          ints(demand.map(({ share }) => share)),
          demand.length === 0 ? 0 : total,
          ...markParams(from.marks),
          ...markParams(from.trails),
          numbers(claims.takeDone(worker))
        ]),
        ([row]): JobStore.ExchangeReply => {
          const [json, parts] = Codec.partsOf(row!.reply)
          const reply: Reply = JSON.parse(json)
          const claimed = parts.map(Codec.toClaimedLines(reply.now))
          claims.settled(worker, settlements)
          claims.claimed(worker, claimed)
          for (const { lines, queue } of claimed) marks.advance(queue, lines)
          const settled = new Array<JobStore.Settled>(settlements.length).fill("Done")
          for (const at of reply.lost) settled[plain[at - 1]!] = "LeaseLost"
          reply.others.forEach((answer, i) => settled[others[i]!] = answer)
          return {
            now: reply.now,
            settled,
            claimed: claimed.flatMap(({ lines }) => lines.map(({ claimed }) => claimed)),
            nextDueIn: reply.nextDueIn ?? undefined,
            maintainIn: reply.maintainIn ?? undefined,
            cancel: reply.cancel,
            more: reply.more
          }
        }
      )
      return from.isFromFront
        ? Effect.ensuring(exchanged, Effect.sync(() => marks.ended(now() - asked, now())))
        : exchanged
    })
}

const markParams = (marks: ReadonlyArray<Mark>): ReadonlyArray<unknown> => [
  ints(marks.map(([priority]) => priority)),
  numbers(marks.map(([, turn]) => turn)),
  numbers(marks.map(([, , place]) => place))
]
