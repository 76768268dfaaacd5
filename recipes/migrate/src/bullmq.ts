/** Jobs of BullMQ 6 on Redis, by its own classes. */
import { Effect } from "effect"
import { clampPriority, NotPaused, type Source, SourceError, type SourceJob } from "./source.ts"

/** What is used of a `Queue` of BullMQ: yours. */
export interface BullQueue {
  readonly name: string
  readonly toKey: (type: string) => string
  readonly isPaused: () => Promise<boolean>
  readonly getRanges: (types: Array<never>, start: number, end: number, asc: boolean) => Promise<Array<string>>
  readonly getJob: (id: string) => Promise<BullJob | undefined>
  readonly getJobs: (types: Array<never>) => Promise<Array<BullJob>>
  readonly getJobSchedulers: (start: number, end: number) => Promise<Array<BullScheduler>>
  readonly remove: (id: string) => Promise<number>
  readonly getBackend: () => { readonly client: Promise<BullClient> }
}

interface BullJob {
  readonly id?: string | undefined
  readonly name: string
  readonly data: unknown
  readonly priority: number
  readonly timestamp: number
  readonly attemptsMade: number
  readonly parentKey?: string | undefined
  readonly repeatJobKey?: string | undefined
}

interface BullScheduler {
  readonly key: string
  readonly name: string
  readonly pattern?: string | null | undefined
  readonly every?: number | string | null | undefined
}

interface BullClient {
  readonly zrange: (
    key: string,
    start: number,
    end: number,
    options: { readonly WITHSCORES: true }
  ) => Promise<ReadonlyArray<string>>
}

export interface Options {
  /**
   * Takes those that have failed for good as well, as if they were new.
   *
   * @default false
   */
  readonly failed?: boolean | undefined
  /** @default 500 */
  readonly batch?: number | undefined
}

/** The jobs of a queue. To move them it must be paused: else a worker may take what has moved. */
export const source = (queue: BullQueue, { batch = 500, failed = false }: Options = {}): Source => {
  const name = `bullmq/${queue.name}`
  const ask = <A>(operation: string, call: () => Promise<A>) =>
    Effect.tryPromise({ try: call, catch: (cause) => new SourceError({ source: name, operation, cause }) })
  const idsOf = (...types: ReadonlyArray<string>) =>
    ask("reading ids", () => queue.getRanges(types as Array<never>, 0, -1, true))

  const pages: Source["pages"] = Effect.fnUntraced(function*(removes, use) {
    if (removes && !(yield* ask("isPaused", () => queue.isPaused()))) return yield* new NotPaused({ source: name })
    // The ids of all, first of all: their places change while jobs go, and what is delayed only ever comes to wait.
    const due = yield* ask("reading what is delayed", () => delayed(queue))
    const ids = [
      ...new Set([
        ...due.keys(),
        ...(yield* idsOf("waiting")),
        ...(yield* idsOf("paused")),
        ...(yield* idsOf("prioritized")),
        ...(failed ? yield* idsOf("failed") : [])
      ])
    ]
    for (let i = 0; i < ids.length; i += batch) {
      const some = ids.slice(i, i + batch)
      const jobs = yield* ask("reading jobs", () => Promise.all(some.map((id) => queue.getJob(id))))
      const done = yield* use(jobs.flatMap((job, j) => job === undefined ? [] : [toJob(some[j]!, job, due)]))
      if (removes) {
        yield* Effect.forEach(done, (id) => ask(`removing ${id}`, () => remove(queue, id)), { concurrency: 16 })
      }
    }
  })

  const others = Effect.gen(function*() {
    const running = yield* ask("reading what runs", () => queue.getJobs(["active"] as Array<string> as Array<never>))
    const parents = yield* ask(
      "reading flows",
      () => queue.getJobs(["waiting-children"] as Array<string> as Array<never>)
    )
    const schedulers = yield* ask("reading schedulers", () => queue.getJobSchedulers(0, -1))
    return [
      ...running.map(({ id = "", name }) => ({ id, name, reason: "Running" as const, detail: "a worker has it" })),
      ...parents.map(({ id = "", name }) => ({
        id,
        name,
        reason: "PartOfFlow" as const,
        detail: "waits for children"
      })),
      ...schedulers.map(({ every, key, name, pattern }) => ({
        id: key,
        name,
        reason: "Schedule" as const,
        detail: pattern ?? `every ${every} ms`
      }))
    ]
  })

  return { name, pages, others }
}

/** When each delayed job is due: its score is that in milliseconds, with twelve bits that keep the order of the same ones. */
const delayed = async (queue: BullQueue): Promise<ReadonlyMap<string, number>> => {
  const client = await queue.getBackend().client
  const pairs = await client.zrange(queue.toKey("delayed"), 0, -1, { WITHSCORES: true })
  const due = new Map<string, number>()
  for (let i = 0; i < pairs.length; i += 2) due.set(pairs[i]!, Math.floor(Number(pairs[i + 1]) / 0x1000))
  return due
}

const remove = async (queue: BullQueue, id: string): Promise<void> => {
  if (await queue.remove(id) !== 1 && await queue.getJob(id) !== undefined) throw new Error(`job ${id} stays`)
}

const toJob = (id: string, job: BullJob, due: ReadonlyMap<string, number>): SourceJob => ({
  id,
  // An id of one's own may come again as soon as its job has gone.
  edition: String(job.timestamp),
  name: job.name,
  payload: job.data,
  runAt: due.get(id),
  // There 1 is the highest, and a job without one goes before all that have one.
  priority: clampPriority(-job.priority),
  attempts: job.attemptsMade,
  obstacle: job.parentKey !== undefined
    ? { reason: "PartOfFlow", detail: `${job.parentKey} waits for it` }
    : job.repeatJobKey !== undefined
    ? { reason: "OfSchedule", detail: `the next job of ${job.repeatJobKey}` }
    : undefined
})
