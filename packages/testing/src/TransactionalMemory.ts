/**
 * A memory store with transactions, for tests of handlers that use `X.commit`.
 *
 * What the effect of a commit enqueues is kept back and stored in the write that completes the attempt; nothing of it is
 * stored when the effect fails or the attempt is stale. Business writes are the test's own matter.
 *
 * An enqueue in the effect answers what the store would as it stands then, and as it will stand with what was kept back before.
 *
 * **Gotchas**: no key is held before the commit, which decides anew. Where another caller takes a key in between, no second record
 * is stored, and the handle that was answered is of a record that never came: awaiting it fails with `JobGone`. Postgres lets
 * the other caller wait for the commit.
 *
 * @since 0.1.0
 */
import { JobError, type JobRecord, JobStore, Transactional } from "capstan"
import { Context, Effect, Layer } from "effect"

/**
 * The memory store, and `Transactional` for it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: JobStore.MemoryOptions
): Layer.Layer<JobStore.JobStore | Transactional.Transactional> =>
  Layer.effectContext(Effect.gen(function*() {
    const store = Context.get(yield* Layer.build(JobStore.layerMemory(options)), JobStore.JobStore)
    return Context.make(JobStore.JobStore, store).pipe(
      Context.add(Transactional.Transactional, {
        identity: store.identity,
        commit: commit(store),
        step: step(store)
      })
    )
  }))

/** A record that the commit is to store, and the id that its enqueue was answered with. */
interface Kept {
  readonly record: JobStore.NewRecord
  readonly id: JobRecord.JobId
}

interface KeptBack<A> {
  readonly children: ReadonlyArray<JobStore.NewRecord>
  /** What its enqueues do to others. */
  readonly events: Pick<JobStore.EnqueueRequest, "cancels" | "completes"> | undefined
  readonly value: A
}

/** Runs an effect whose records are kept back, and answers them with its value. */
const keptBack = <A, E, R>(store: JobStore.Shape, effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const kept: Array<Kept> = []
    const cancels: Array<NonNullable<JobStore.EnqueueRequest["cancels"]>[number]> = []
    const completes: Array<NonNullable<JobStore.EnqueueRequest["completes"]>[number]> = []
    const inside: JobStore.Shape = {
      ...store,
      enqueue: Effect.fnUntraced(function*(request) {
        const { records, whole } = request
        const all = [...kept]
        const before = kept.length
        const answers: Array<JobStore.Enqueued> = []
        for (const record of records) {
          const answer = yield* foreseen(store, request, record, all)
          if (record.id === whole && answer.outcome === "Existing") {
            return records.map(({ id }) => id === whole ? answer : { id, outcome: "Existing" })
          }
          answers.push(answer)
          if (answer.outcome !== "Existing") all.push({ record, id: answer.id })
        }
        if (answers.some(isRefusal)) {
          return answers.map((answer, i) => isRefusal(answer) ? answer : { id: records[i]!.id, outcome: "Refused" })
        }
        kept.push(...all.slice(before))
        cancels.push(...request.cancels ?? [])
        completes.push(...request.completes ?? [])
        return answers
      }),
      results: (ids) => {
        const own = ids.find((id) => kept.some(({ record }) => record.id === id))
        return own === undefined
          ? store.results(ids)
          : Effect.fail(new JobError.JobStoreError({ reason: new JobError.AwaitInTransaction({ id: own }) }))
      }
    }
    return Effect.map(
      Effect.provideService(effect, JobStore.JobStore, inside),
      (value): KeptBack<A> => ({
        children: kept.map(({ record }) => record),
        events: cancels.length + completes.length > 0 ? { cancels, completes } : undefined,
        value
      })
    )
  })

/** Nothing of its batch is stored. */
const isRefusal = ({ outcome }: JobStore.Enqueued): boolean => outcome === "UniqueConflict" || outcome === "Begun"

/** What the store would answer if what was kept back were in it. */
const foreseen = (
  store: JobStore.Shape,
  { by, whole }: JobStore.EnqueueRequest,
  record: JobStore.NewRecord,
  kept: ReadonlyArray<Kept>
): Effect.Effect<JobStore.Enqueued, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const { id, idempotencyKey, tag, unique } = record
    const same = kept.filter((one) => one.record.tag === tag)
    const known = same.find((one) =>
      one.record.id === id || idempotencyKey !== undefined && one.record.idempotencyKey === idempotencyKey
    )
    if (known !== undefined) return { id: known.id, outcome: "Existing" }
    // A record that is to come before itself is refused in any case: the store says what it makes of its keys, and stores nothing.
    const others = record.dependents?.filter((one) => !kept.some(({ record }) => record.id === one.id)) ?? []
    const [answer] = yield* store.enqueue({
      records: [{ ...record, dependents: [...others, { name: "itself", id }] }],
      by,
      whole: id
    })
    if (answer!.outcome === "Existing") return answer!
    const held = unique === undefined ? undefined : same.find((one) => one.record.unique?.key === unique.key)
    // It is stored under its own id, or nothing is.
    const isItself = whole !== undefined || record.flowId !== undefined
    if (held !== undefined) {
      if (isItself) return { id: held.id, outcome: "UniqueConflict" }
      return isKept(unique!) ? { id: held.id, outcome: "Existing" } : replaced(held.id, held.record)
    }
    if (answer!.outcome === "UniqueConflict") {
      return isItself ? answer! : yield* resolved(store, record, answer!.id)
    }
    return answer!.id === id ? { id, outcome: "Inserted" } : answer!
  })

/** A holder that waits stays as it is. */
const isKept = ({ onConflict }: JobStore.UniqueClaim): boolean => onConflict === "keep" || onConflict === "runAfter"

const replaced = (id: JobRecord.JobId, { flowId }: { readonly flowId?: string | undefined }): JobStore.Enqueued => ({
  id,
  outcome: flowId === undefined ? "Replaced" : "UniqueConflict"
})

/**
 * What a conflict that stores no record does: with `replace` it changes the one that waits for the holder's end, if there is one;
 * else the holder while that waits, or nothing.
 */
const resolved = (store: JobStore.Shape, { tag, unique }: JobStore.NewRecord, id: JobRecord.JobId) =>
  Effect.gen(function*(): Effect.fn.Return<JobStore.Enqueued, JobError.JobStoreError> {
    const { onConflict } = unique!
    const holder = yield* store.get(id)
    const waits = holder !== undefined && isUntouched(holder)
    if (onConflict === "replace" && holder?.state !== "completed" || onConflict === "runAfter" && !waits) {
      const { records } = yield* store.query({
        where: { tag, blockedReason: "Unique" },
        order: "oldest",
        limit: 10_000
      })
      const next = records.find(({ blocked }) => blocked?.on === id)
      if (next !== undefined) return replaced(next.id, next)
    }
    return waits && !isKept(unique!) ? replaced(id, holder) : { id, outcome: "Existing" }
  })

/** It waits for its first start. An attempt that gave itself back has begun; one of an earlier life has ended that. */
const isUntouched = ({ attempt, attempts, state }: JobRecord.JobRecord): boolean =>
  attempt === 0 && (state === "scheduled" || state === "ready" || state === "blocked") &&
  (attempts.length === 0 || attempts.at(-1)?.decision === "dead" || attempts.at(-1)?.decision === "cancelled")

const commit = (store: JobStore.Shape): Transactional.Shape["commit"] => (at, effect, complete) =>
  Effect.gen(function*() {
    const { children, events, value } = yield* keptBack(store, effect)
    const { finishedAfter, result } = yield* complete(value)
    const reply = yield* store.exchange({
      worker: "transaction",
      lease: 0,
      settlements: [{ ...at, outcome: { _tag: "Complete", result }, children, finishedAfter }],
      demand: [],
      total: 0
    })
    if (reply.settled[0] === "Done") {
      if (events !== undefined) yield* store.enqueue({ records: [], ...events })
      return value
    }
    return yield* new JobError.JobStoreError({ reason: new JobError.LeaseLost(at) })
  })

const step = (store: JobStore.Shape): Transactional.Shape["step"] => (effect, entryOf) =>
  Effect.gen(function*() {
    const { children, events, value } = yield* keptBack(store, effect)
    const entry = yield* entryOf(value)
    // In memory, what follows at once is one step for everybody else.
    const [answer] = yield* store.write([entry])
    if (answer !== "Done") return yield* new JobError.JobStoreError({ reason: new JobError.LeaseLost(entry.at) })
    if (children.length > 0 || events !== undefined) {
      yield* store.enqueue({ records: children, by: entry.at, ...events })
    }
    return value
  })
