/** The hot path: one call that settles, promotes and claims. */
import { JobError, type JobRecord, type JobStore } from "capstan"
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

/** What an exchange tells the server, and what its answer says, once it is whole. */
export interface Asked {
  readonly params: ReadonlyArray<unknown>
  readonly read: (reply: string) => Effect.Effect<JobStore.ExchangeReply, JobError.JobStoreError>
  /** However it ended. */
  readonly ended: () => void
}

export class Exchanges {
  private readonly client: Client
  private readonly marks: Marks
  private readonly claims = new AllClaims()
  private readonly text: string
  private readonly payloadsText: string

  constructor(client: Client, marks: Marks) {
    this.client = client
    this.marks = marks
    this.text = `SELECT ${client.schema}.exchange(${parameters(1)}) AS reply`
    this.payloadsText = `SELECT id, payload FROM ${client.schema}.record WHERE id = ANY ($1)`
  }

  readonly exchange = (
    request: JobStore.ExchangeRequest
  ): Effect.Effect<JobStore.ExchangeReply, JobError.JobStoreError> =>
    Clock.clockWith((clock) => {
      const { ended, params, read } = this.ask(request, clock)
      return Effect.ensuring(
        Effect.flatMap(this.client.call<{ reply: string }>("exchange", this.text, params), ([row]) => read(row!.reply)),
        Effect.sync(ended)
      )
    })

  /**
   * The records, with the payloads that the answer has left out, and how long those are. A record that is gone meanwhile is nobody's any
   * more: its worker hears nothing of it.
   *
   * Whatever hinders the asking, it is as if the whole answer had been lost: it is asked for again, and what it has claimed comes back.
   */
  private paid(
    lines: ReadonlyArray<Codec.ClaimedLine>
  ): Effect.Effect<
    { readonly records: ReadonlyArray<JobStore.Claimed>; readonly length: number },
    JobError.JobStoreError
  > {
    const length = lines.reduce((sum, { owed }) => sum + owed, 0)
    if (length === 0) return Effect.succeed({ records: lines.map(({ claimed }) => claimed), length })
    const owing = new Map(lines.flatMap(({ claimed, owed }) => owed === 0 ? [] : [[claimed.id, claimed]]))
    const asked = this.client.call<{ id: JobRecord.JobId; payload: string }>(
      "exchange",
      this.payloadsText,
      [uuids([...owing.keys()])],
      undefined,
      "anew"
    )
    return Effect.mapBoth(asked, {
      onFailure: lost,
      onSuccess: (rows) => {
        for (const { id, payload } of rows) {
          owing.get(id)!.payload = payload
          owing.delete(id)
        }
        return { records: lines.flatMap(({ claimed }) => owing.has(claimed.id) ? [] : [claimed]), length }
      }
    })
  }

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
        numbers(this.claims.takeDone(worker)),
        longest
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
        const lines = claimed.flatMap(({ lines }) => lines)
        return Effect.map(this.paid(lines), ({ length, records }) => ({
          now: reply.now,
          settled,
          claimed: records,
          nextDueIn: reply.nextDueIn ?? undefined,
          maintainIn: reply.maintainIn ?? undefined,
          cancel: reply.cancel,
          more: reply.more,
          fits: fitsOf(text.length + length, lines.length)
        }))
      },
      ended: () => {
        if (from.isFromFront) this.marks.ended(now() - asked, now())
      }
    }
  }
}

/**
 * Bytes of a payload that an answer brings along. Longer ones are rows of a statement of their own: in the answer, each would be
 * copied some ten times, and each copy begins on pages that are new.
 */
const longest = 2000

/**
 * Characters of an answer, at most. A claim's lines lie in the server's `work_mem` (4 MB) more than once, and beyond that on disk: of
 * payloads of 10 KB, 562 at a time were worked off at 3.6 k/s, 100 at 11, 200 at 13, and 50 at 6.
 */
const atOnce = 2_000_000

/** How many such records an answer has that is no longer than that, where this one is half as long already. */
const fitsOf = (length: number, claimed: number): number | undefined =>
  claimed === 0 || length * 2 < atOnce ? undefined : Math.max(1, Math.floor(atOnce * claimed / length))

const lost = ({ message }: JobError.JobStoreError): JobError.JobStoreError =>
  new JobError.JobStoreError({ reason: new JobError.OutcomeUnknown({ operation: "exchange", detail: message }) })

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
  ["done", "::float8[]::bigint[]"],
  ["longest", "::float8::int"]
]

/** Those of an exchange, numbered from `first` on. */
export const parameters = (first: number): string =>
  taken.map(([, sentAs = ""], i) => `$${first + i}${sentAs}`).join(", ")

const markParams = (marks: ReadonlyArray<Mark>): ReadonlyArray<unknown> => [
  ints(marks.map(([priority]) => priority)),
  numbers(marks.map(([, turn]) => turn)),
  numbers(marks.map(([, , place]) => place))
]
