/**
 * An exchange with all partitions at once: each settles what is its own and is asked for a share of the free slots. The rest
 * of the slots begins with another partition each time, so none is always last; what some did not need is asked of those that
 * have more. All calls of a round go out together: one round trip to each node.
 */
import type { JobError, JobStore } from "capstan"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { type Away, isAway, monotonicMillis } from "./away.ts"
import type { Counts } from "./choose.ts"
import { groupBy, nowhere, type Places } from "./places.ts"
import { spared } from "./route.ts"
import type { Suspects } from "./suspects.ts"

type Request = JobStore.ExchangeRequest
type Reply = JobStore.ExchangeReply
type Call = (partition: number, request: Request) => Effect.Effect<Reply, JobError.JobStoreError>
type Awake = (partition: number, worker: string, queues: ReadonlyArray<string>) => Effect.Effect<unknown>
type Failure = Cause.Cause<JobError.JobStoreError>
type Answers = Map<JobStore.Settlement, JobStore.Settled>

/** How often slots that were not filled are asked for again in one exchange. */
const rounds = 3

/** How many of each demand are given out, as one store would: shares first, the rest in their order. */
export const grants = (demand: ReadonlyArray<JobStore.Demand>, total: number): ReadonlyArray<number> => {
  let left = total
  const take = (most: number): number => {
    const many = Math.max(0, Math.min(most, left))
    left -= many
    return many
  }
  const shares = demand.map(({ share, slots }) => take(Math.min(share, slots)))
  return demand.map(({ slots }, i) => shares[i]! + take(slots - shares[i]!))
}

/** So many slots over so many partitions; the one at `first` is the first that gets one more. */
export const split = (slots: number, partitions: number, first: number): ReadonlyArray<number> => {
  const rest = slots % partitions
  return Array.from(
    { length: partitions },
    (_, i) => Math.floor(slots / partitions) + ((i - first % partitions + partitions) % partitions < rest ? 1 : 0)
  )
}

const earliest = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

/** One exchange, put together from those with the partitions. */
class Sum {
  now = 0
  readonly claimed: Array<JobStore.Claimed> = []
  readonly cancel: Array<JobStore.CancelRequest> = []
  nextDueIn: number | undefined
  maintainIn: number | undefined
  /** The partitions that have more of a queue. */
  readonly more = new Map<string, Set<number>>()
  /** The partitions that call the worker for the next record of a queue: it has found less there than it asked for. */
  private readonly sleepsBeside = new Map<string, Set<number>>()
  readonly demand: ReadonlyArray<JobStore.Demand>
  readonly present: ReadonlySet<number>

  constructor(demand: ReadonlyArray<JobStore.Demand>, present: ReadonlySet<number>) {
    this.demand = demand
    this.present = present
  }

  add(partition: number, asked: ReadonlyArray<JobStore.Demand>, reply: Reply): void {
    this.now = Math.max(this.now, reply.now)
    this.claimed.push(...reply.claimed)
    this.cancel.push(...reply.cancel)
    this.nextDueIn = earliest(this.nextDueIn, reply.nextDueIn)
    this.maintainIn = earliest(this.maintainIn, reply.maintainIn)
    for (const { queue } of asked) {
      const having = this.more.get(queue) ?? new Set()
      this.more.set(queue, having)
      if (reply.more.includes(queue)) having.add(partition)
      else having.delete(partition)
    }
    for (const { queue, slots } of asked) {
      const beside = this.sleepsBeside.get(queue) ?? new Set()
      this.sleepsBeside.set(queue, beside)
      if (!reply.more.includes(queue) && this.claimedOf(queue, reply.claimed) < slots) beside.add(partition)
      else beside.delete(partition)
    }
  }

  private claimedOf(queue: string, claimed: ReadonlyArray<JobStore.Claimed> = this.claimed): number {
    return claimed.filter((record) => record.queue === queue).length
  }

  /** Partitions, with queues, that call it though others have filled it. */
  filled(total: number): ReadonlyMap<number, ReadonlyArray<string>> {
    const found = new Map<number, Array<string>>()
    for (const [queue, partitions] of this.sleepsBeside) {
      if (partitions.size === 0) continue
      const slots = this.demand.find((one) => one.queue === queue)!.slots
      if (this.claimed.length < total && this.claimedOf(queue) < slots) continue
      for (const partition of partitions) found.set(partition, [...found.get(partition) ?? [], queue])
    }
    return found
  }

  /** What of the demand is not met, of queues of which there is more. */
  unmet(total: number): ReadonlyArray<JobStore.Demand> {
    if (this.claimed.length >= total) return []
    return this.demand.flatMap((one) => {
      const given = this.claimedOf(one.queue)
      const slots = one.slots - given
      const having = this.more.get(one.queue)?.size ?? 0
      return slots > 0 && having > 0 ? [{ ...one, slots, share: Math.max(0, one.share - given) }] : []
    })
  }
}

export class Exchanger {
  private turn = 0
  /** Claims of an exchange that failed elsewhere, by worker: they are its own, and go with the next answer. */
  private readonly kept = new Map<string, ReadonlyArray<JobStore.Claimed>>()
  private readonly reaches = new Map<string, number>()
  private readonly many: number
  private readonly counts: Counts
  private readonly places: Places
  private readonly suspects: Suspects
  private readonly away: Away
  private readonly call: Call
  private readonly awake: Awake

  constructor(
    many: number,
    counts: Counts,
    places: Places,
    suspects: Suspects,
    away: Away,
    call: Call,
    awake: Awake
  ) {
    this.away = away
    this.awake = awake
    this.many = many
    this.suspects = suspects
    this.counts = counts
    this.places = places
    this.call = call
  }

  /**
   * A worker hears of the partitions of its queues, also when it wants nothing of them: of requests to cancel. One that leaves is
   * told of nothing more: what it was not told of is given back with what it holds.
   */
  serves(worker: string, queues: ReadonlyArray<string>, lease: number): void {
    if (lease === 0) {
      this.reaches.delete(worker)
      this.kept.delete(worker)
    } else this.reaches.set(worker, Math.max(1, ...queues.map((queue) => this.counts.get(queue) ?? 1)))
  }

  /** What the worker holds and has not been told of. */
  keptFor(worker: string): ReadonlyArray<JobStore.Claimed> {
    return this.kept.get(worker) ?? []
  }

  /** What it has lost before it was told of it. */
  forget(worker: string, lost: ReadonlyArray<JobStore.AttemptRef>): void {
    const kept = this.keptFor(worker)
    if (kept.length === 0) return
    const fences = new Map(lost.map(({ fence, id }) => [id, fence]))
    this.kept.set(worker, kept.filter(({ fence, id }) => fences.get(id) !== fence))
  }

  exchange(request: Request): Effect.Effect<Reply, JobError.JobStoreError> {
    return Effect.gen({ self: this }, function*() {
      const settled: Answers = new Map()
      const found = yield* Effect.exit(this.places.find(request.settlements.map(({ id }) => id)))
      if (Exit.isFailure(found)) {
        if (!isAway(found.cause)) return yield* Effect.failCause(found.cause)
        for (const one of request.settlements) if (this.places.of(one.id) === undefined) settled.set(one, "Unreached")
      }
      // Of what no partition knows the first one says that it is lost.
      const settlements = groupBy(
        request.settlements.filter((one) => !settled.has(one)),
        ({ id }) => Math.max(0, this.places.of(id) ?? nowhere)
      )
      // One that only settles, beside another, wants no records: nobody would run them.
      const kept = request.total > 0 ? this.keptFor(request.worker) : []
      if (kept.length > 0) this.kept.delete(request.worker)
      const total = Math.max(0, request.total - kept.length)
      const sum = new Sum(request.demand, yield* this.away.present(this.many))
      let failed = yield* this.round(request, total, settlements, sum, settled)
      for (let i = 0; i < rounds && failed === undefined; i++) {
        const unmet = sum.unmet(total)
        if (unmet.length === 0) break
        const left = total - sum.claimed.length
        failed = yield* this.round({ ...request, demand: unmet }, left, new Map(), sum, settled)
      }
      // Nobody waits for it: what it says counts from the next exchange on.
      for (const [at, queues] of sum.filled(total)) {
        yield* Effect.forkDetach(this.awake(at, request.worker, queues), { startImmediately: true })
      }
      const claimed = [...kept, ...sum.claimed]
      yield* this.suspects.ended(request.worker, request.settlements.filter((one) => isTaken(settled.get(one))))
      yield* this.suspects.claimed(request.worker, sum.claimed, (id) => this.places.of(id))
      if (failed !== undefined) {
        if (claimed.length > 0) this.kept.set(request.worker, claimed)
        return yield* Effect.failCause(failed)
      }
      return {
        now: sum.now,
        settled: request.settlements.map((one) => settled.get(one)!),
        claimed,
        nextDueIn: sum.nextDueIn,
        maintainIn: sum.maintainIn,
        cancel: sum.cancel,
        more: request.demand.flatMap(({ queue }) => (this.more(sum, queue) ? [queue] : [])),
        // In the others what it holds would be rescued while it claims here, again and again.
        renewsLease: false
      }
    })
  }

  private more({ more }: Sum, queue: string): boolean {
    return (more.get(queue)?.size ?? 0) > 0
  }

  /**
   * Asks all partitions at once. What is to be settled in one that is away the worker sends again; the exchange only fails when
   * none answers, or when one answers no.
   */
  private round(
    request: Request,
    total: number,
    settlements: ReadonlyMap<number, ReadonlyArray<JobStore.Settlement>>,
    sum: Sum,
    settled: Answers
  ): Effect.Effect<Failure | undefined> {
    const turn = this.turn++
    const asked = this.shares(request, total, sum, turn)
    const candidates = asked.flatMap((demand, at) => demand.length > 0 ? [at] : [])
    const given = sum.claimed.find(({ crashes }) => crashes > 0)
    const mayGive = given === undefined
      ? this.suspects.mayGive(request.worker, candidates, turn)
      : this.places.of(given.id)
    const heard = sum.now > 0 ? 0 : this.reaches.get(request.worker) ?? this.many
    const all = asked.flatMap((demand, partition) => {
      const own = settlements.get(partition) ?? []
      return own.length === 0 && demand.length === 0 && partition >= heard ? [] : [{ partition, demand, own }]
    })
    for (const { own } of all) for (const one of own) settled.set(one, "Unreached")
    const present = all.filter(({ partition }) => sum.present.has(partition))
    // Somebody is to answer: where all of them are away, they are asked all the same.
    const calls = (present.length > 0 ? present : all).map(({ demand, own, partition }) => {
      const slots = demand.reduce((all, one) => all + one.slots, 0)
      // Asked for none of a queue, it says whether it has any.
      const each: Request = {
        ...request,
        settlements: own,
        demand,
        total: demand.length === 0 ? 0 : Math.max(1, slots),
        ...(partition === mayGive ? {} : { [spared]: true })
      }
      return {
        partition,
        demand,
        own,
        reply: Effect.exit(this.call(partition, each))
      }
    })
    return Effect.map(
      Effect.forEach(calls, ({ reply }) => reply, { concurrency: "unbounded" }),
      (exits) => {
        let failure: Failure | undefined
        let last: Failure | undefined
        exits.forEach((exit, i) => {
          const { demand, own, partition } = calls[i]!
          if (Exit.isFailure(exit)) {
            for (const { queue } of demand) sum.more.get(queue)?.delete(partition)
            if (own.length > 0 && !isAway(exit.cause)) failure ??= exit.cause
            last = exit.cause
            return
          }
          own.forEach((one, n) => {
            settled.set(one, exit.value.settled[n]!)
            this.places.settled(request.worker, one.id)
          })
          // Also those that it has just settled, and claims again.
          for (const { id } of exit.value.claimed) this.places.claimed(request.worker, id, partition)
          sum.add(partition, demand, exit.value)
        })
        return failure ?? (sum.now === 0 ? last : undefined)
      }
    )
  }

  /** What each partition is asked for. */
  private shares(
    request: Request,
    total: number,
    sum: Sum,
    turn: number
  ): ReadonlyArray<ReadonlyArray<JobStore.Demand>> {
    const asked: Array<Array<JobStore.Demand>> = Array.from({ length: this.many }, () => [])
    if (total <= 0) return asked
    const granted = grants(request.demand, total)
    request.demand.forEach(({ queue }, i) => {
      const having = sum.more.get(queue)
      const count = this.counts.get(queue) ?? 1
      const all = Array.from({ length: count }, (_, at) => at)
      const present = all.filter((at) => sum.present.has(at))
      const among = having !== undefined ? [...having] : present.length > 0 ? present : all
      const slots = split(granted[i]!, among.length, turn)
      among.forEach((partition, at) => {
        // The second time only who can give something is asked.
        if (having === undefined || slots[at]! > 0) {
          asked[partition]!.push({ queue, slots: slots[at]!, share: slots[at]! })
        }
      })
    })
    return asked
  }
}

/** The worker holds the record no longer. */
const isTaken = (answer: JobStore.Settled | undefined): boolean => answer !== undefined && answer !== "Unreached"

/** How long ago each partition confirmed a worker's lease. */
export class Renewals {
  private readonly confirmed = new Map<string, Array<number>>()

  /** Answers whether what the worker holds in the partition must be taken for lost: its lease is about to end there. */
  readonly note = (
    worker: string,
    partition: number,
    lease: number,
    isConfirmed: boolean
  ): Effect.Effect<boolean> =>
    Effect.map(monotonicMillis, (now) => {
      if (lease === 0) {
        this.confirmed.delete(worker)
        return false
      }
      const of = this.confirmed.get(worker) ?? []
      this.confirmed.set(worker, of)
      if (isConfirmed || of[partition] === undefined) of[partition] = now
      return now - of[partition] > 0.8 * lease
    })
}
