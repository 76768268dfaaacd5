/**
 * A memory store with transactions, for tests of handlers that use `X.commit`.
 *
 * What the effect of a commit enqueues is kept back and stored in the write that completes the attempt; nothing of it is
 * stored when the effect fails or the attempt is stale. Business writes are the test's own matter.
 *
 * **Gotchas**: while the effect runs, an enqueue answers `Inserted` with the record's own id: keys are decided at the commit.
 *
 * @since 0.1.0
 */
import { JobError, JobStore, Transactional } from "capstan"
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

/** Runs an effect whose records are kept back, and answers them with its value. */
const keptBack = <A, E, R>(store: JobStore.Shape, effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const children: Array<JobStore.NewRecord> = []
    const cancels: Array<NonNullable<JobStore.EnqueueRequest["cancels"]>[number]> = []
    const inside: JobStore.Shape = {
      ...store,
      enqueue: (request) =>
        Effect.sync(() => {
          const { records } = request
          children.push(...records)
          cancels.push(...request.cancels ?? [])
          return records.map(({ id }) => ({ id, outcome: "Inserted" as const }))
        }),
      results: (ids) => {
        const own = ids.find((id) => children.some((child) => child.id === id))
        return own === undefined
          ? store.results(ids)
          : Effect.fail(new JobError.JobStoreError({ reason: new JobError.AwaitInTransaction({ id: own }) }))
      }
    }
    return Effect.map(
      Effect.provideService(effect, JobStore.JobStore, inside),
      (value) => ({ cancels, children, value })
    )
  })

const commit = (store: JobStore.Shape): Transactional.Shape["commit"] => (at, effect, complete) =>
  Effect.gen(function*() {
    const { cancels, children, value } = yield* keptBack(store, effect)
    const { finishedAfter, result } = yield* complete(value)
    const reply = yield* store.exchange({
      worker: "transaction",
      lease: 0,
      settlements: [{ ...at, outcome: { _tag: "Complete", result }, children, finishedAfter }],
      demand: [],
      total: 0
    })
    if (reply.settled[0] === "Done") {
      if (cancels.length > 0) yield* store.enqueue({ records: [], cancels })
      return value
    }
    return yield* new JobError.JobStoreError({ reason: new JobError.LeaseLost(at) })
  })

const step = (store: JobStore.Shape): Transactional.Shape["step"] => (effect, entryOf) =>
  Effect.gen(function*() {
    const { cancels, children, value } = yield* keptBack(store, effect)
    const entry = yield* entryOf(value)
    // In memory, what follows at once is one step for everybody else.
    const [answer] = yield* store.write([entry])
    if (answer !== "Done") return yield* new JobError.JobStoreError({ reason: new JobError.LeaseLost(entry.at) })
    if (children.length > 0 || cancels.length > 0) {
      yield* store.enqueue({ records: children, by: entry.at, ...(cancels.length > 0 ? { cancels } : undefined) })
    }
    return value
  })
