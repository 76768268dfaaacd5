/**
 * Writes into the ledger what a worker asks of its store and is answered, at the seam between the two.
 *
 * Every fenced write is noted before it goes out, so that one that was stale by then is known whatever it was answered.
 */
import { JobStore } from "capstan"
import type { JobError } from "capstan"
import { Effect, Exit, Layer } from "effect"
import type { Write } from "./ledger.ts"

export const layer = (write: Write): Layer.Layer<JobStore.JobStore, never, JobStore.JobStore> =>
  Layer.effect(JobStore.JobStore, Effect.map(JobStore.JobStore, (store) => witnessed(store, write)))

const witnessed = (store: JobStore.Shape, write: Write): JobStore.Shape => {
  /** Notes the writes, and what came of each: `answers` says it of those that were answered. */
  const fenced = <A>(
    refs: ReadonlyArray<JobStore.AttemptRef>,
    word: string,
    call: Effect.Effect<A, JobError.JobStoreError>,
    answers: (reply: A) => ReadonlyArray<JobStore.Settled>
  ): Effect.Effect<A, JobError.JobStoreError> => {
    const note = (kind: "ask" | "unanswered") =>
      Effect.sync(() => {
        for (const { fence, id } of refs) write(kind, { id, fence, word })
      })
    return note("ask").pipe(
      Effect.andThen(call),
      Effect.tap((reply) =>
        Effect.sync(() =>
          answers(reply).forEach((answer, i) => write("answer", { ...refs[i]!, word: `${word} ${answer}` }))
        )
      ),
      Effect.tapError((error) =>
        error.reason._tag === "LeaseLost"
          ? Effect.sync(() => write("answer", { ...refs[0]!, word: `${word} LeaseLost` }))
          : note("unanswered")
      ),
      Effect.onInterrupt(() => note("unanswered"))
    )
  }
  const noteClaims = ({ claimed }: JobStore.ExchangeReply) => {
    for (const { fence, id } of claimed) write("claim", { id, fence })
  }
  const { standBy } = store
  return {
    ...store,
    exchange: (request) =>
      fenced(request.settlements, "settle", store.exchange(request), ({ settled }) => settled).pipe(
        Effect.tap((reply) => Effect.sync(() => noteClaims(reply)))
      ),
    standBy: standBy && ((standing) =>
      standBy({
        ...standing,
        receive: (reply) => {
          if (Exit.isSuccess(reply) && reply.value !== undefined) noteClaims(reply.value)
          standing.receive(reply)
        }
      })),
    write: (entries) => fenced(entries.map(({ at }) => at), "write", store.write(entries), (answers) => answers),
    enqueue: (request) =>
      request.by === undefined
        ? store.enqueue(request)
        : fenced([request.by], "child", store.enqueue(request), () => ["Done"]),
    tick: (request) =>
      Effect.tap(
        store.tick(request),
        (reply) => Effect.sync(() => reply !== undefined && write("tick", { word: request.name }))
      ),
    renew: (request) =>
      Effect.tap(
        store.renew(request),
        ({ reconciled }) => Effect.sync(() => reconciled > 0 && write("given back", { n: reconciled }))
      )
  }
}
