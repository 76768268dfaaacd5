/**
 * A store of several partitions: each is a store of its own under its own hash tag, and every verb is put together from theirs.
 *
 * A record lies in one partition for all of its life, and what is atomic, ordered or limited is so within one. The first
 * partition has the keys of a store without partitions, and all queues that have one only.
 */
import { JobError, type JobRecord, type JobStore } from "capstan"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { Calls } from "../client.ts"
import { clean, packWorker } from "../codec.ts"
import { examine } from "../examine.ts"
import { makeEvents, makeWakeups } from "../listen.ts"
import { chunkOf, notIds, selectIds } from "../query.ts"
import { repair } from "../repair.ts"
import { make, type Settings } from "../store.ts"
import { guarded, openTransaction } from "../transaction.ts"
import { Away } from "./away.ts"
import { type Choose, choosing, type Counts } from "./choose.ts"
import { describe } from "./describe.ts"
import { Enqueuer } from "./enqueue.ts"
import { Exchanger, Renewals } from "./exchange.ts"
import { Forwarder } from "./forward.ts"
import { groupBy, nowhere, Places } from "./places.ts"
import { gathered, isCursor, select, spread } from "./query.ts"
import { among, type RoutedSnooze } from "./route.ts"
import { sumStats } from "./stats.ts"
import { Suspects } from "./suspects.ts"

type Error = JobError.JobStoreError

const all = { concurrency: "unbounded" } as const

/** `clients`: one for each partition, the first of them that of the store's own keys. */
export const makePartitioned = Effect.fnUntraced(function*(
  clients: ReadonlyArray<Calls>,
  counts: Counts,
  settings: Settings,
  choose: Choose = choosing(counts)
): Effect.fn.Return<JobStore.Shape, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const [home] = clients
  const listener = `${settings.identity}:${yield* Random.nextIntBetween(0, 2 ** 48)}`
  const wakers = makeWakeups(home!, scope, listener, settings.beat)
  // What an open transaction means is decided once, for all partitions.
  const stores = yield* Effect.forEach(
    clients,
    (client) => make(client, { ...settings, insideSqlTransaction: "ignore" }, wakers)
  )
  const partitions = Object.fromEntries(counts)
  const places = new Places(clients)
  const forwarder = new Forwarder(clients, settings.durability)
  const enqueuer = new Enqueuer(
    clients.length,
    counts,
    choose,
    places,
    forwarder,
    (at, request) => stores[at]!.enqueue(request)
  )

  /** After a call of a partition that has something to do at once: it may be something for another one. */
  const forwarding = (partition: number, maintainIn: number | undefined): Effect.Effect<unknown> =>
    maintainIn === 0 ? forwarder.from(partition) : Effect.void

  const withRoutes = (settlement: JobStore.Settlement, at: number): JobStore.Settlement | JobError.CrossPartition => {
    const { children, outcome } = settlement
    if (outcome._tag === "SnoozeFor" && outcome.closes === "queue") {
      const closing: RoutedSnooze = { ...outcome, [among]: partitions }
      settlement = { ...settlement, outcome: closing }
    }
    if (children === undefined || children.length === 0) return settlement
    const theirs = enqueuer.place(children)
    return theirs instanceof JobError.CrossPartition
      ? theirs
      : { ...settlement, children: children.map((child, i) => enqueuer.route(child, theirs[i]!, at)) }
  }

  const away = new Away()
  const suspects = new Suspects(clients, away)
  const exchanger = new Exchanger(
    clients.length,
    counts,
    places,
    suspects,
    away,
    (at, request) =>
      Effect.gen(function*() {
        const settlements: Array<JobStore.Settlement> = []
        for (const settlement of request.settlements) {
          const routed = withRoutes(settlement, at)
          if (routed instanceof JobError.CrossPartition) {
            return yield* Effect.fail(new JobError.JobStoreError({ reason: routed }))
          }
          settlements.push(routed)
        }
        const reply = yield* away.ask(
          at,
          "exchange",
          request.lease,
          stores[at]!.exchange({ ...request, settlements })
        )
        // A partition that is slow to take something is no reason to leave out this one.
        yield* forwarding(at, reply.maintainIn)
        return reply
      }),
    (at, worker, queues) =>
      Effect.ignore(clients[at]!.call("exchange", "awake", [packWorker(worker), ...queues.map(clean)]))
  )
  const renewals = new Renewals()

  /** A call of the partition of each item, whose answers come in the order of the items. */
  const byPlace = <A, B>(
    items: ReadonlyArray<A>,
    idOf: (item: A) => JobRecord.JobId,
    call: (partition: number, items: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, Error>
  ): Effect.Effect<ReadonlyArray<B>, Error> =>
    Effect.gen(function*() {
      const groups = [...groupBy(items, (item) => Math.max(0, places.of(idOf(item)) ?? nowhere))]
      const answers = new Map<A, B>()
      yield* Effect.forEach(groups, ([partition, own]) =>
        Effect.map(call(partition, own), (replies) =>
          own.forEach((item, i) => answers.set(item, replies[i]!))), all)
      return items.map((item) =>
        answers.get(item)!
      )
    })

  const stats = Effect.map(Effect.forEach(stores, ({ stats }) => stats, all), sumStats)

  const control: JobStore.Shape["control"] = (request) =>
    Effect.gen(function*() {
      const { limit, where } = request
      const isOfIds = where.ids !== undefined
      const cursor = isOfIds ? gathered(request.cursor) : request.cursor
      const { ids, next } = yield* chunkOf(
        { where, order: "oldest", limit, cursor },
        (page) => select(clients, places, page)
      )
      yield* places.find(ids)
      const outcomes = new Map<JobRecord.JobId, JobStore.ControlReply["outcomes"][number]>()
      const groups = [...groupBy(ids, (id) => Math.max(0, places.of(id) ?? nowhere))]
      yield* Effect.forEach(groups, ([partition, own]) =>
        Effect.gen(function*() {
          const reply = yield* stores[partition]!.control({
            ...request,
            where: { ...where, ids: own },
            cursor: undefined
          })
          for (const outcome of reply.outcomes) outcomes.set(outcome.id, outcome)
          yield* forwarder.from(partition)
        }), all)
      return {
        outcomes: [...ids.flatMap((id) => outcomes.get(id) ?? []), ...notIds(request)],
        cursor: isOfIds ? spread(next, clients.length) : next
      }
    })

  const store: JobStore.Shape = {
    identity: settings.identity,
    notifications: "hint",
    partitions,
    ...(settings.insideSqlTransaction === "afterCommit"
      ? { inTransaction: (context) => openTransaction(context) !== undefined }
      : {}),
    describe: describe(stores, counts),
    examine: examine(clients),
    repair: ({ dryRun }) => repair(clients, dryRun),
    enqueue: (request) =>
      Effect.withFiber((fiber) => guarded(settings.insideSqlTransaction, fiber, request, enqueuer.enqueue)),
    exchange: (request) => exchanger.exchange(request),

    renew: (request) =>
      Effect.gen(function*() {
        const { lease, queues, worker } = request
        exchanger.serves(worker, queues, lease)
        const holding = [...request.holding, ...exchanger.keptFor(worker)]
        yield* places.find(holding.map(({ id }) => id))
        places.renews(worker, lease, holding)
        const held = groupBy(holding, ({ id }) => Math.max(0, places.of(id) ?? nowhere))
        const exits = yield* Effect.forEach(
          stores,
          (one, at) =>
            Effect.exit(away.ask(at, "renew", lease, one.renew({ ...request, holding: held.get(at) ?? [] }))),
          all
        )
        const sum = { now: 0, reconciled: 0, unparked: 0, maintainIn: undefined as number | undefined }
        const lost: Array<JobStore.AttemptRef> = []
        const cancel: Array<JobStore.CancelRequest> = []
        let failure: Cause.Cause<Error> | undefined
        for (let at = 0; at < exits.length; at++) {
          const exit = exits[at]!
          if (yield* renewals.note(worker, at, lease, Exit.isSuccess(exit))) lost.push(...held.get(at) ?? [])
          if (Exit.isFailure(exit)) {
            failure = exit.cause
            continue
          }
          const reply = exit.value
          sum.now = Math.max(sum.now, reply.now)
          sum.reconciled += reply.reconciled
          sum.unparked += reply.unparked
          if (reply.maintainIn !== undefined) sum.maintainIn = Math.min(sum.maintainIn ?? Infinity, reply.maintainIn)
          lost.push(...reply.lost)
          cancel.push(...reply.cancel)
          yield* forwarding(at, reply.maintainIn)
        }
        exchanger.forget(worker, lost)
        yield* suspects.renewed(worker, lease)
        yield* suspects.ended(worker, lost)
        if (failure !== undefined && sum.now === 0) return yield* Effect.failCause(failure)
        return { ...sum, lost, cancel }
      }),

    // What an attempt says of itself may wait for a partition that is away; a step's handler waits for its value.
    write: (entries) =>
      Effect.gen(function*() {
        yield* places.find(entries.map(({ at }) => at.id))
        const present = yield* away.present(clients.length)
        return yield* byPlace(entries, ({ at }) => at.id, (at, own) => {
          const written = away.ask(at, "write", 0, stores[at]!.write(own))
          if (present.size === 0 || own.some(({ _tag }) => _tag === "Step")) return written
          const unreached = Effect.succeed(own.map((): JobStore.Settled => "Unreached"))
          return present.has(at)
            ? Effect.catchIf(written, ({ isTransient }) => isTransient, () => unreached)
            : unreached
        })
      }),

    results: (ids) =>
      Effect.flatMap(places.find(ids), (onTheirWay) =>
        Effect.map(
          byPlace(ids, (id) => id, (at, own) => stores[at]!.results(own)),
          (answers) =>
            answers.map((answer): JobStore.ResultAnswer =>
              onTheirWay.has(answer.id) ? { _tag: "Pending", id: answer.id, progress: undefined } : answer
            )
        )),

    dependencies: (request) =>
      Effect.andThen(
        places.find([request.id]),
        Effect.suspend(() => stores[places.of(request.id) ?? 0]!.dependencies(request))
      ),

    signal: (request) =>
      Effect.andThen(
        places.find([request.id]),
        Effect.suspend(() => stores[places.of(request.id) ?? 0]!.signal(request))
      ),

    get: (id) => Effect.andThen(places.find([id]), Effect.suspend(() => stores[places.of(id) ?? 0]!.get(id))),

    query: (request) => {
      const { where } = request
      if (where.ids === undefined) return select(clients, places, request)
      const read = Effect.fnUntraced(function*(ids: ReadonlyArray<JobRecord.JobId>) {
        yield* places.find(ids)
        const groups = [...groupBy(ids, (id) => Math.max(0, places.of(id) ?? nowhere))]
        const pages = yield* Effect.forEach(
          groups,
          ([at, ids]) => stores[at]!.query({ order: request.order, limit: ids.length, where: { ...where, ids } }),
          all
        )
        const found = new Map(pages.flatMap(({ records }) => records.map((record) => [record.id, record])))
        return ids.flatMap((id) => found.get(id) ?? [])
      })
      return Effect.map(
        selectIds(where.ids, { ...request, cursor: gathered(request.cursor) }, read),
        (page) => ({ ...page, cursor: spread(page.cursor, clients.length) })
      )
    },
    isCursor: (text) => isCursor(text, clients.length),

    stats,
    control,

    pause: (queue, paused) =>
      Effect.map(
        Effect.forEach(stores.slice(0, counts.get(queue) ?? 1), ({ pause }) => pause(queue, paused), all),
        (changed) => changed.includes(true)
      ),

    /** A limit of a key lies where its key does, so all partitions know it. One of a queue would count in each for itself. */
    limits: (changes) => {
      for (const { name, settings } of changes) {
        if (!counts.has(name) || settings?.concurrency === undefined && settings?.rate === undefined) continue
        const issue = "a limit of the whole queue would count in each of them for itself: give the limit keys, " +
          "or leave the queue in one partition"
        const reason = new JobError.CrossPartition({ job: "*", queue: name, issue })
        return Effect.fail(new JobError.JobStoreError({ reason }))
      }
      return Effect.map(Effect.forEach(stores, ({ limits }) => limits(changes), all), ([first]) => first!)
    },
    keys: (request) =>
      Effect.map(
        Effect.forEach(stores, ({ keys }) => keys(request), all),
        (pages) => pages.flat().toSorted((a, b) => (a.key < b.key ? -1 : 1)).slice(0, request.limit)
      ),

    // Schedules lie in the first partition.
    schedules: stores[0]!.schedules,
    putSchedule: stores[0]!.putSchedule,

    tick: (request) =>
      Effect.gen(function*() {
        const ticks: Array<JobStore.TickRequest["ticks"][number]> = []
        for (const tick of request.ticks) {
          const place = enqueuer.placeOfTick(tick.record, request)
          if (typeof place !== "number") return yield* Effect.fail(new JobError.JobStoreError({ reason: place }))
          ticks.push({ ...tick, record: enqueuer.route(tick.record, place, 0) })
        }
        const reply = yield* stores[0]!.tick({ ...request, ticks })
        if (reply === undefined) return undefined
        // A key of the job may have answered with another record where it belongs.
        const arrived = yield* forwarder.from(0)
        return { ...reply, outcomes: reply.outcomes.map((one) => ({ ...one, id: arrived.get(one.id)?.id ?? one.id })) }
      }),

    maintain: Effect.gen(function*() {
      const exits = yield* Effect.forEach(
        stores,
        ({ maintain }, at) => Effect.exit(Effect.tap(maintain, () => forwarder.from(at))),
        all
      )
      const sum = { rescued: 0, quarantined: 0, expired: 0, swept: 0, maintainIn: undefined as number | undefined }
      let failure: Cause.Cause<Error> | undefined
      let answered = 0
      for (const exit of exits) {
        if (Exit.isFailure(exit)) {
          failure = exit.cause
          continue
        }
        answered++
        const { expired, maintainIn, quarantined, rescued, swept } = exit.value
        sum.rescued += rescued
        sum.quarantined += quarantined
        sum.expired += expired
        sum.swept += swept
        if (maintainIn !== undefined) sum.maintainIn = Math.min(sum.maintainIn ?? Infinity, maintainIn)
      }
      if (failure !== undefined && answered === 0) return yield* Effect.failCause(failure)
      const [home] = exits
      const schedules = home !== undefined && Exit.isSuccess(home) ? home.value.schedules : undefined
      return schedules === undefined ? sum : { ...sum, schedules }
    }),

    // All partitions speak on the channels of the first: one subscription hears them all.
    wakeups: wakers.wakeups,
    events: makeEvents(home!, scope, settings.beat, clients)
  }
  return store
})
