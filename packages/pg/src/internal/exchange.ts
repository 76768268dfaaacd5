/** The hot path: one call that settles, promotes and claims. */
import type { JobError, JobStore } from "capstan"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { AllClaims } from "./claims.ts"
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

/** What an exchange tells the server, and what its answer says. */
export interface Asked {
  readonly params: ReadonlyArray<unknown>
  readonly read: (reply: string) => JobStore.ExchangeReply
  /** However it ended. */
  readonly ended: () => void
}

export class Exchanges {
  private readonly client: Client
  private readonly marks: Marks
  private readonly claims = new AllClaims()
  private readonly text: string

  constructor(client: Client, marks: Marks) {
    this.client = client
    this.marks = marks
    this.text = `SELECT ${client.schema}.exchange(${parameters(1)}) AS reply`
  }

  readonly exchange = (
    request: JobStore.ExchangeRequest
  ): Effect.Effect<JobStore.ExchangeReply, JobError.JobStoreError> =>
    Clock.clockWith((clock) => {
      const { ended, params, read } = this.ask(request, clock)
      return Effect.ensuring(
        Effect.map(this.client.call<{ reply: string }>("exchange", this.text, params), ([row]) => read(row!.reply)),
        Effect.sync(ended)
      )
    })

  /** The worker has renewed its lease. */
  renewed(worker: string): void {
    this.claims.renewed(worker)
  }

  /** Completions that leave no children go as columns, all else as JSON. */
  ask(request: JobStore.ExchangeRequest, clock: Clock.Clock): Asked {
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
    const from = this.marks.from(queues, asked)
    return {
      params: [
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
        numbers(this.claims.takeDone(worker))
      ],
      read: (text) => {
        const [json, parts] = Codec.partsOf(text)
        const reply: Reply = JSON.parse(json)
        const claimed = parts.map(Codec.toClaimedLines(reply.now))
        this.claims.settled(worker, settlements)
        this.claims.claimed(worker, claimed)
        for (const { lines, queue } of claimed) this.marks.advance(queue, lines)
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
          more: reply.more,
          fits: fitsOf(text.length, claimed.reduce((sum, { lines }) => sum + lines.length, 0))
        }
      },
      ended: () => {
        if (from.isFromFront) this.marks.ended(now() - asked, now())
      }
    }
  }
}

/**
 * Characters of an answer, at most. A claim's lines lie in the server's `work_mem` (4 MB) more than once, and beyond that on disk: of
 * payloads of 10 KB, 562 at a time were worked off at 3.6 k/s, 100 at 11, 200 at 13, and 50 at 6.
 */
const atOnce = 2_000_000

/** How many such records an answer has that is no longer than that, where this one is half as long already. */
const fitsOf = (length: number, claimed: number): number | undefined =>
  claimed === 0 || length * 2 < atOnce ? undefined : Math.max(1, Math.floor(atOnce * claimed / length))

/** What the function takes, in this order, and as what it is sent where that is something else. */
const taken: ReadonlyArray<readonly [name: string, sentAs?: string]> = [
  ["worker"],
  ["lease", "::float8::bigint"],
  ["ids"],
  ["fences"],
  ["afters", "::float8[]::bigint[]"],
  ["results"],
  ["traces"],
  ["others", "::text::json"],
  ["queues"],
  ["slots"],
  ["shares"],
  ["total"],
  ["mark_priorities"],
  ["mark_turns", "::float8[]::bigint[]"],
  ["mark_places", "::float8[]::bigint[]"],
  ["trail_priorities"],
  ["trail_turns", "::float8[]::bigint[]"],
  ["trail_places", "::float8[]::bigint[]"],
  ["done", "::float8[]::bigint[]"]
]

/** Those of an exchange, numbered from `first` on. */
export const parameters = (first: number): string =>
  taken.map(([, sentAs = ""], i) => `$${first + i}${sentAs}`).join(", ")

const markParams = (marks: ReadonlyArray<Mark>): ReadonlyArray<unknown> => [
  ints(marks.map(([priority]) => priority)),
  numbers(marks.map(([, turn]) => turn)),
  numbers(marks.map(([, , place]) => place))
]
