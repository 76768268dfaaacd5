/** The verbs of the seam over the scripts. */
import { Coalescer, JobError, type JobStore } from "capstan"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Calls } from "./client.ts"
import * as Codec from "./codec.ts"
import * as Decode from "./decode.ts"
import { describe, type Durability } from "./describe.ts"
import { examine } from "./examine.ts"
import * as Ids from "./ids.ts"
import * as Limits from "./limits.ts"
import { makeEvents, makeWakeups, type Wakeups } from "./listen.ts"
import { Nearby } from "./nearby.ts"
import { everywhere, type RoutedEnqueue, spared } from "./partitions/route.ts"
import { chunkOf, isCursor, notIds, select } from "./query.ts"
import { repair } from "./repair.ts"
import { isUnheard } from "./replicated.ts"
import * as Schedules from "./schedules.ts"
import { guarded, type InsideSqlTransaction, openTransaction } from "./transaction.ts"

export interface Settings {
  readonly identity: string
  readonly maxCrashes: number
  readonly insideSqlTransaction: InsideSqlTransaction
  readonly durability: Durability
  /** How often a subscription sends itself a message. For tests. */
  readonly beat?: Duration.Input
}

export const usualSettings: Omit<Settings, "identity"> = {
  maxCrashes: 3,
  insideSqlTransaction: "fail",
  durability: "server"
}

/** More than this in one call goes out alone. */
const bulk = 100

/** What Redis writes of an answer before it looks for the next call, in bytes. */
const atOnce = 65_000
/** As many records are worth a call of their own, at least. */
const least = 128

/**
 * How many such records an answer has that Redis writes at once. The rest of a longer one waits until a call that has come
 * meanwhile is done: most often the settlements of what was claimed before. With 562 records of 160 bytes at a time a drain took
 * 7.2 us a record, with as many as fit 6.8; of records with keys 9.7 and 8.0. A few large ones are not worth a call.
 */
const fitsOf = (claimed: ReadonlyArray<string>): number | undefined => {
  if (claimed.length < least) return undefined
  let bytes = 0
  for (const text of claimed) bytes += text.length + 7
  const fits = Math.floor(atOnce * claimed.length / 2 / bytes)
  return fits < least ? undefined : fits
}

/** Characters of a packed id: no word for where a record is has as many. */
const packed = 22

const resend = Schedule.exponential("20 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 4 }))

type Answers = Effect.Effect<ReadonlyArray<JobStore.Enqueued>, JobError.JobStoreError>
type Sends = (records: ReadonlyArray<JobStore.NewRecord>) => Answers

/** `wakers`: whom a store of several partitions wakes, who sleep over all of them. */
export const make = Effect.fnUntraced(function*(
  client: Calls,
  settings: Settings,
  wakers?: Wakeups
): Effect.fn.Return<JobStore.Shape, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const listener = `${settings.identity}:${yield* Random.nextIntBetween(0, 2 ** 48)}`

  /** A script that adds records, as durable as the settings want it. */
  const stored = settings.durability === "replicated"
    ? client.replicated
    : <A>(verb: "one" | "enqueue" | "tick", args: ReadonlyArray<string>) =>
      client.call<A>(verb === "tick" ? "tick" : "enqueue", verb, args)

  const enqueuePlain = (records: ReadonlyArray<JobStore.NewRecord>): Answers => {
    const [first] = records
    return records.length > 1 || first === undefined || !Codec.isNow(first)
      ? enqueueMany(records)
      : Effect.flatMap(stored<number | "">("one", Codec.oneArgs(first)), (reply) =>
        reply === ""
          ? enqueueMany(records)
          : Effect.succeed([{ id: first.id, outcome: Number(reply) === 1 ? "Inserted" : "Existing" }]))
  }

  const enqueueMany = (records: ReadonlyArray<JobStore.NewRecord>): Answers =>
    Effect.map(stored<string>("enqueue", Codec.plainArgs(records)), (reply) => {
      const existing = reply === "" ? undefined : new Set(reply.split(","))
      return records.map(({ id }, i): JobStore.Enqueued => ({
        id,
        outcome: existing?.has(String(i + 1)) === true ? "Existing" : "Inserted"
      }))
    })

  const enqueueSpecial = (request: RoutedEnqueue): Answers =>
    Effect.flatMap(
      stored<string>("enqueue", [
        JSON.stringify(request.records.map(Codec.specialOf)),
        request.by === undefined ? "" : Codec.packId(request.by.id) + request.by.fence,
        request.whole === undefined ? "" : Codec.packId(request.whole),
        ...(Codec.isEvent(request) ? [Codec.eventsOf(request), String(request[everywhere] ?? 1)] : [])
      ]),
      (reply) => {
        if (reply === "LeaseLost") {
          return Effect.fail(new JobError.JobStoreError({ reason: new JobError.LeaseLost(request.by!) }))
        }
        return Effect.succeed(
          (reply === "" ? [] : reply.split(";")).map((answer): JobStore.Enqueued => {
            const [outcome, id] = answer.split(",")
            return { id: Ids.unpack(id!), outcome: outcome as JobStore.Enqueued["outcome"] }
          })
        )
      }
    )

  /**
   * Whether some of the records have been stored; and what is to be answered of those that are not there, which sent again would run
   * again: those that have run to their end meanwhile and are kept no more, and those whose contents went into another record. A
   * member of a flow may be stored again under its id.
   */
  const whereabouts = (records: ReadonlyArray<JobStore.NewRecord>) => {
    const known = new Map<JobStore.NewRecord, JobStore.Enqueued>()
    const sent = records.filter(({ flowId }) => flowId === undefined)
    if (sent.length === 0) return Effect.succeed({ isStored: false, known })
    return Effect.map(
      client.call<string>("enqueue", "whereabouts", sent.map(({ id }) => Codec.packId(id))),
      (reply) => {
        const found = reply.split(",")
        found.forEach((where, i) => {
          const record = sent[i]!
          if (where === "gone") known.set(record, { id: record.id, outcome: "Inserted" })
          else if (where.length === packed) known.set(record, { id: Ids.unpack(where), outcome: "Replaced" })
        })
        return { isStored: found.some((where) => where !== ""), known }
      }
    )
  }

  /** Some records, or a copy of all of them: the call has been done, and what else it does is not done again. */
  const callAgain = (records: ReadonlyArray<JobStore.NewRecord>, call: Sends): Answers =>
    Effect.flatMap(whereabouts(records), ({ isStored, known }) => {
      if (known.size === 0) return call(isStored ? [...records] : records)
      const rest = records.filter((record) => !known.has(record))
      const others = rest.length === 0 ? Effect.succeed([]) : call(rest)
      return Effect.map(others, (answers) => {
        const answerOf = new Map(rest.map((record, i) => [record, answers[i]!]))
        return records.map((record): JobStore.Enqueued => known.get(record) ?? answerOf.get(record)!)
      })
    })

  /**
   * A reply that was lost is asked for again under the same ids: nobody else stores them, so one that is there was inserted
   * by this call. Whatever hinders the asking, the outcome is unknown.
   */
  const askAgain = (records: ReadonlyArray<JobStore.NewRecord>, call: Sends): Answers =>
    Effect.catch(
      call(records),
      (lost) =>
        lost.reason._tag !== "OutcomeUnknown" || isUnheard(lost) ? Effect.fail(lost) : callAgain(records, call).pipe(
          Effect.retry({ schedule: resend, while: (error) => error.isTransient && !isUnheard(error) }),
          Effect.mapBoth({
            onFailure: (error) => error.isTransient ? lost : error,
            onSuccess: (answers) =>
              answers.map((answer, i): JobStore.Enqueued =>
                answer.outcome === "Existing" && answer.id === records[i]!.id
                  ? { ...answer, outcome: "Inserted" }
                  : answer
              )
          })
        )
    )
  const { wake, wakeups } = wakers ?? makeWakeups(client, scope, listener, settings.beat)
  const nearby = new Nearby(wake)
  const sending = (records: ReadonlyArray<JobStore.NewRecord>, call: Sends): Answers => {
    // What waits for a replica goes another way.
    if (settings.durability === "server") nearby.stores(records)
    return askAgain(records, call)
  }
  const storePlain = (records: ReadonlyArray<JobStore.NewRecord>) => sending(records, enqueuePlain)
  const storeSpecial = (request: JobStore.EnqueueRequest) =>
    sending(request.records, (records) =>
      // Where some of them have been stored, the events have happened: then it is another array.
      enqueueSpecial(
        records === request.records ? request : { ...request, records, cancels: undefined, completes: undefined }
      ))

  const plain = new Coalescer.Coalescer(storePlain, scope, 2)
  /** On a way of their own: a batch is plain as a whole or not at all. */
  const special = new Coalescer.Coalescer((records) => storeSpecial({ records }), scope)

  const enqueue = (request: JobStore.EnqueueRequest): Answers => {
    const { by, records, whole } = request
    if (by !== undefined || whole !== undefined || Codec.isEvent(request)) return storeSpecial(request)
    const isSpecial = records.some(Codec.isSpecial)
    if (records.length > bulk) return isSpecial ? storeSpecial(request) : storePlain(records)
    return (isSpecial ? special : plain).enqueue(records)
  }

  const store: JobStore.Shape = {
    identity: settings.identity,
    notifications: "hint",
    ...(settings.insideSqlTransaction === "afterCommit"
      ? { inTransaction: (context) => openTransaction(context) !== undefined }
      : {}),
    describe: describe(client, settings),
    examine: examine([client]),
    repair: ({ dryRun }) => repair([client], dryRun),
    enqueue: (request) => Effect.withFiber((fiber) => guarded(settings.insideSqlTransaction, fiber, request, enqueue)),

    exchange: (request) => {
      const others: Array<number> = []
      request.settlements.forEach((settlement, i) => {
        if (!Codec.isPlainEnd(settlement)) others.push(i)
      })
      const { order, text } = Codec.completionsOf(request.settlements)
      const demand = request.demand.map(({ queue, share, slots }) =>
        [Codec.clean(queue), slots, share].join(Codec.field)
      )
      return Effect.map(
        client.call<[string, string, ReadonlyArray<string>]>("exchange", "exchange", [
          Codec.packWorker(request.worker),
          String(Math.ceil(request.lease)),
          String(request.total),
          text,
          others.length === 0 ? "" : JSON.stringify(others.map((i) => Codec.settlementOf(request.settlements[i]!))),
          request.total > 0 ? demand.join(Codec.record) : "",
          ...(spared in request ? ["1"] : [])
        ]),
        ([head, kindsText, claimed]): JobStore.ExchangeReply => {
          const [now, nextDueIn, maintainIn, lost, answers, more, cancel] = head.split(Codec.field) as [
            string,
            string,
            string,
            string,
            string,
            string,
            string
          ]
          const settled = new Array<JobStore.Settled>(request.settlements.length).fill("Done")
          if (lost !== "") { for (const at of lost.split(",")) settled[order[Number(at) - 1]!] = "LeaseLost" }
          for (let i = 0; i < answers.length; i++) if (answers[i] === "L") settled[others[i]!] = "LeaseLost"
          const kinds = Decode.kindsOf(kindsText)
          const at = Number(now)
          const records: Array<JobStore.Claimed> = []
          for (let i = 0; i < claimed.length; i += 2) {
            records.push(Decode.toClaimed(claimed[i]!, claimed[i + 1]!, kinds, at))
          }
          const reply = {
            now: at,
            settled,
            claimed: records,
            nextDueIn: Decode.optional(nextDueIn),
            maintainIn: Decode.optional(maintainIn),
            cancel: Decode.linesOf(cancel).map(Decode.toCancel),
            more: Decode.linesOf(more).map(Codec.unclean),
            fits: fitsOf(claimed)
          }
          nearby.found(request, reply)
          return reply
        }
      )
    },

    renew: (request) =>
      Effect.map(
        client.call<string>("renew", "renew", [
          Codec.packWorker(request.worker),
          String(Math.ceil(request.lease)),
          JSON.stringify(request.queues),
          JSON.stringify(request.handles.map(({ tag, version }) => [Codec.clean(tag), version])),
          request.holding.map(({ fence, id }) => Codec.packId(id) + fence + Codec.record).join(""),
          request.reconcileOlderThan === Infinity ? "" : String(request.reconcileOlderThan),
          request.process === undefined ? "" : JSON.stringify(request.process)
        ]),
        (reply): JobStore.RenewReply => {
          const [now, lost, cancel, reconciled, unparked, maintainIn] = reply.split(Codec.field)
          return {
            now: Number(now),
            lost: Decode.linesOf(lost!).map(Decode.toAttempt),
            cancel: Decode.linesOf(cancel!).map(Decode.toCancel),
            reconciled: Number(reconciled),
            unparked: Number(unparked),
            maintainIn: Decode.optional(maintainIn!)
          }
        }
      ),

    write: (entries) =>
      Effect.map(
        client.call<string>("write", "write", [JSON.stringify(entries.map(Codec.writeOf))]),
        (reply) => Array.from(reply, (answer): JobStore.Settled => answer === "D" ? "Done" : "LeaseLost")
      ),

    results: (ids) =>
      Effect.map(
        client.call<string>("results", "results", ids.map(Codec.packId)),
        (reply) => {
          const lines = reply.split(Codec.record)
          return ids.map((id, i) => Decode.toAnswer(id, lines[i] ?? ""))
        }
      ),

    dependencies: ({ cursor, id, limit }) =>
      Effect.map(
        client.call<[string, number]>("dependencies", "dependencies", [
          Codec.packId(id),
          cursor ?? "0",
          String(limit)
        ]),
        ([lines, next]) => ({
          dependencies: Decode.linesOf(lines).map(Decode.toDependency),
          cursor: Number(next) === 0 ? undefined : String(next)
        })
      ),

    signal: ({ id, value, waitpoint }) =>
      client.call("signal", "signal", [Codec.packId(id), Codec.clean(waitpoint), Codec.clean(value)]),

    get: (id) =>
      Effect.map(
        client.call<[string, string, string, string]>("get", "get", [Codec.packId(id)]),
        ([, kinds, lines, checkpoints]) => {
          if (lines === "") return undefined
          const record = Decode.toRecord(lines, Decode.kindsOf(kinds))
          return checkpoints === "" ? record : { ...record, checkpoints: Decode.membersOf(checkpoints) }
        }
      ),

    query: (request) => select(client, request),
    isCursor,

    stats: Effect.map(client.call<[string, string, string]>("stats", "stats", []), ([now, queues, workers]) => ({
      now: Number(now),
      queues: Decode.linesOf(queues).map(toQueueStats),
      workers: Decode.linesOf(workers).map(toWorkerStats)
    })),

    control: ({ action, cursor, limit, where }) =>
      Effect.gen(function*() {
        const { ids, next } = yield* chunkOf({ where, order: "oldest", limit, cursor }, (page) => select(client, page))
        const reply = ids.length === 0 ? "" : yield* client.call<string>("control", "control", [
          Codec.actionOf(action),
          Codec.whereOf(where),
          ...ids.map(Codec.packId)
        ])
        return {
          outcomes: [
            ...(reply === "" ? [] : reply.split(";").map((answer) => {
              const [outcome, id] = answer.split(",")
              return { id: Ids.unpack(id!), outcome: outcome as JobStore.ControlOutcome }
            })),
            ...notIds({ where, cursor })
          ],
          cursor: next
        }
      }),

    pause: (queue, paused) =>
      Effect.map(
        client.call<number>("pause", "pause", [Codec.clean(queue), paused ? "1" : ""]),
        (changed) => Number(changed) === 1
      ),

    ...Schedules.verbs(client, stored),

    ...Limits.verbs(client),

    maintain: Effect.map(
      client.call<Schedules.Maintained>("maintain", "maintain", [String(settings.maxCrashes)]),
      Schedules.maintained
    ),

    wakeups,
    events: makeEvents(client, scope, settings.beat)
  }
  return store
})

const toQueueStats = (line: string): JobStore.QueueStats => {
  const [queue, ready, running, scheduled, blocked, completed, cancelled, dead, parked, paused, oldest] = line.split(
    Codec.field
  )
  return {
    queue: Codec.unclean(queue!),
    counts: {
      blocked: Number(blocked),
      scheduled: Number(scheduled),
      ready: Number(ready),
      running: Number(running),
      completed: Number(completed),
      cancelled: Number(cancelled),
      dead: Number(dead)
    },
    parked: Number(parked),
    oldestReadyAge: Decode.optional(oldest!),
    paused: paused !== ""
  }
}

const toWorkerStats = (line: string): JobStore.WorkerStats => {
  const [worker, holds, leaseLeft, queues, process] = line.split(Codec.field)
  return {
    worker: Codec.unpackWorker(worker!),
    holds: Number(holds),
    leaseLeft: Number(leaseLeft),
    queues: JSON.parse(queues!),
    process: process === "" ? undefined : JSON.parse(process!)
  }
}
