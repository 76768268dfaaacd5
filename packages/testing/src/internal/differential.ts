/**
 * The same random program on two stores, which must give the same observable history.
 *
 * A program is a list of calls in words that hold for any store: ids are counted, and an attempt or a record is the
 * n-th from the end of those that there are, so that a program with steps left out is one, too. Both clocks stand
 * still but for the program's own steps. After every step the answers, all records and all figures are compared.
 */
import { JobRecord, JobStore } from "capstan"
import { Arbitrary, Clock, Context, Effect, Layer, Logger, Schema } from "effect"
import {
  actions,
  addOf,
  events,
  kinds,
  lasting,
  outcomes,
  passing,
  programs,
  selections,
  Step,
  steps
} from "./differentialProgram.ts"

/** A store that is compared. */
export interface Subject {
  /** It with nothing in it. */
  readonly empty: Effect.Effect<JobStore.Shape>
  readonly setClock: (now: number) => Effect.Effect<void>
}

const forEver: JobRecord.Keep = { age: 365 * 24 * 60 * 60 * 1000, count: Infinity }
const begin = 1_800_000_000_000
const lease = 30_000

/** What a program knows while it runs: it holds for both stores as long as they answer alike. */
class Run {
  now = begin
  made = 0
  /** Whether a record was added that may be over by itself. */
  passes = false
  /** Cancel requests that a renewal has told. */
  readonly told = new Set<string>()
  readonly ids: Array<JobRecord.JobId> = []
  readonly attempts: Array<{ readonly worker: string; readonly at: JobStore.AttemptRef }> = []

  record(given: Partial<JobStore.NewRecord>): JobStore.NewRecord {
    const id = JobRecord.JobId(`00000000-0000-7000-8000-${(++this.made).toString(16).padStart(12, "0")}`)
    this.ids.push(id)
    return {
      id,
      tag: "Task",
      version: 1,
      queue: "a",
      priority: 0,
      payload: String(this.made),
      delay: 0,
      retention: { completed: forEver, cancelled: forEver, dead: forEver },
      sensitive: { payload: [], result: [], error: [], progress: [] },
      tags: ["t"],
      headers: { h: "1" },
      ...given
    }
  }

  id(nth: number): JobRecord.JobId {
    return this.ids.at(-1 - nth) ?? JobRecord.JobId("00000000-0000-7000-9000-000000000000")
  }

  tell({ fence, id }: JobStore.AttemptRef): void {
    this.told.add(`${id} ${fence}`)
  }

  isTold({ fence, id }: JobStore.AttemptRef): boolean {
    return this.told.has(`${id} ${fence}`)
  }

  attempt(nth: number) {
    return this.attempts.at(-1 - nth) ?? { worker: "w", at: { id: this.id(nth), fence: 1000 } }
  }
}

/** A cancel request that a renewal has told may be told once more by the next exchange, or not. */
const exchange = (run: Run, store: JobStore.Shape, request: JobStore.ExchangeRequest) =>
  Effect.map(store.exchange(request), (reply) => ({
    ...reply,
    cancel: reply.cancel.filter((each) => !run.isTold(each))
  }))

type Call = (store: JobStore.Shape) => Effect.Effect<unknown, unknown>

/** The call of a step, the same for both stores. */
const callOf = (run: Run, step: Step): Call => {
  switch (step._tag) {
    case "Add": {
      run.passes ||= passing.has(step.kind)
      const records = [run.record({ ...kinds[step.kind], queue: step.queue })]
      return (store) => store.enqueue({ records })
    }
    case "AddAfter": {
      const dependencies = [{ name: "d", id: run.id(step.record), onFailure: step.onFailure }]
      const records = [run.record({ dependencies })]
      return (store) => store.enqueue({ records })
    }
    case "Event":
      return (store) => store.enqueue({ records: [], [step.does]: events[step.does] })
    case "Claim": {
      const demand = ["a", "b"].map((queue) => ({ queue, slots: step.slots, share: 1 }))
      return (store) => exchange(run, store, { worker: step.worker, lease, settlements: [], demand, total: step.slots })
    }
    case "Settle": {
      const { at, worker } = run.attempt(step.attempt)
      const children = step.outcome === "children" ? { children: [run.record({ queue: "b" })] } : {}
      const settlements = [{ ...at, outcome: outcomes[step.outcome], finishedAfter: 0, ...children }]
      return (store) => exchange(run, store, { worker, lease, settlements, demand: [], total: 0 })
    }
    case "Write": {
      const { at } = run.attempt(step.attempt)
      const entries: Record<typeof step.entry, JobStore.WriteEntry> = {
        Step: { _tag: "Step", at, name: "s", value: "1" },
        Undo: { _tag: "Step", at, name: "u", value: "1", undo: true },
        Progress: { _tag: "Progress", at, value: "1" },
        Log: { _tag: "Log", at, lines: ["1", "2"] }
      }
      return (store) => store.write([entries[step.entry]])
    }
    case "Renew": {
      const holding = step.handles || step.holds === "nothing"
        ? []
        : run.attempts.flatMap(({ at, worker }) => worker === step.worker ? [at] : [])
      const handles = step.handles ? [{ tag: "Task", version: 1 }] : []
      // Who parks a record does not handle it, and holds nothing here.
      const worker = step.handles ? "able" : step.worker
      const request = { worker, lease, queues: ["a", "b"], handles, holding, reconcileOlderThan: 500 }
      return (store) =>
        Effect.tap(store.renew(request), ({ cancel }) => Effect.sync(() => cancel.forEach((each) => run.tell(each))))
    }
    case "Control": {
      const where = { ids: [run.id(step.record)] }
      return (store) => store.control({ action: actions[step.action], where, limit: 10 })
    }
    case "ControlAll":
      return (store) =>
        Effect.map(
          store.control({ action: actions[step.action], where: selections[step.where], limit: 100 }),
          // What is done to one may take another one out of the selection, such as what waits for it: whether that one is named,
          // nobody promises.
          ({ cursor, outcomes }) => ({ cursor, outcomes: outcomes.filter(({ outcome }) => outcome !== "Unchanged") })
        )
    case "Signal": {
      const request = { id: run.id(step.record), waitpoint: "x", value: "1" }
      return (store) => store.signal(request)
    }
    case "Pause":
      return (store) => store.pause(step.queue, step.paused)
    case "Query":
      return (store) =>
        Effect.map(
          store.query({ where: selections[step.where], order: step.order, limit: 100 }),
          ({ records }) => records.map(({ id }) => id)
        )
    case "Maintain":
      return (store) => store.maintain
    case "Pass":
      return () => Effect.void
  }
}

/** Foresight, which a store may have of its own; where a set has no order, it is given one. */
const hints: ReadonlySet<string> = new Set(["fits", "maintainIn", "more", "nextDueIn", "renewsLease"])
const unordered: ReadonlySet<string> = new Set(["cancel", "lost", "queues", "workers"])

/** What callers can tell apart: a part that is `undefined` is as good as one that is not there. */
const plain = (value: unknown, key = ""): unknown => {
  // Why a record goes backwards: JSON of the store's own, and its reader decodes it.
  if (key === "!end" && typeof value === "string") return plain(JSON.parse(value))
  if (Array.isArray(value)) {
    const items = value.map((item) => plain(item))
    return unordered.has(key) ? items.toSorted((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1) : items
  }
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).filter(([name, part]) => part !== undefined && !hints.has(name))
      .toSorted(([a], [b]) => a < b ? -1 : 1)
      .map(([name, part]) => [name, plain(part, name)])
  )
}

/** What anybody can see of a store. */
const look = (store: JobStore.Shape, ids: ReadonlyArray<JobRecord.JobId>) =>
  Effect.all({
    records: Effect.map(store.query({ where: {}, order: "oldest", limit: 1000 }), ({ records }) =>
      // When it would have expired is of no use to what has ended, nor is a cancel request that came too late, and not every store
      // keeps them.
      records.map((record) =>
        !JobRecord.isFinal(record.state)
          ? record
          : {
            ...record,
            expiresAt: undefined,
            cancelRequested: record.state === "cancelled" ? record.cancelRequested : undefined
          }
      )),
    stats: Effect.map(store.stats, ({ queues, workers }) => ({
      // A queue that nothing was in, and a worker that holds nothing, may be known or not; and a lease of which nine tenths
      // are left need not be renewed by a claim. What has ended is counted until it is removed, and that is when it suits.
      queues: queues.map(({ counts: { blocked, ready, running, scheduled }, ...queue }) => ({
        ...queue,
        counts: { blocked, ready, running, scheduled }
      })).filter(({ counts, parked, paused }) =>
        paused || parked > 0 || Object.values(counts).some((count) => count > 0)
      ),
      workers: workers.filter(({ holds }) => holds > 0).map(({ holds, worker }) => ({ holds, worker }))
    })),
    // Who removed a record is answered rightly or not at all.
    results: Effect.map(store.results(ids), (answers) => answers.map((answer) => ({ ...answer, by: undefined })))
  }, { concurrency: "unbounded" })

/** Where two stores differ: after which step, in what, and how. */
export interface Difference {
  /** The number of the step. */
  readonly step: number
  /** What differs, in words that two findings of one cause share. */
  readonly kind: string
  readonly after: string
  readonly memory: string
  readonly other: string
}

/** The parts in which two values differ, by their paths. */
const differing = (path: string, a: unknown, b: unknown): ReadonlyArray<readonly [string, unknown, unknown]> => {
  if (JSON.stringify(a) === JSON.stringify(b)) return []
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return [[path, a, b]]
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  const part = (value: object, name: string): unknown => name in value ? value[name as keyof typeof value] : undefined
  return [...names].flatMap((name) => differing(`${path}.${name}`, part(a, name), part(b, name)))
}

const describe = (step: Step): string => {
  const { _tag, ...parts } = step
  return `${_tag} ${Object.values(parts).join(" ")}`.trim()
}

/** A store's answer with its look, or how it failed. */
const observed = (store: JobStore.Shape, call: Call, ids: ReadonlyArray<JobRecord.JobId>) =>
  Effect.map(
    Effect.result(
      Effect.flatMap(call(store), (answer) => Effect.map(look(store, ids), (seen) => ({ answer, ...seen })))
    ),
    (result) =>
      result._tag === "Success" ? { raw: result.success, seen: plain(result.success) } : { seen: result.failure }
  )

/**
 * Whether two claims gave out others of one place: of records that became ready in the same millisecond a store says itself which
 * one comes first, when one of them comes back to its place. What happens after that is two histories.
 */
const isTie = (a: unknown, b: unknown): boolean => {
  const [ours, theirs] = [a, b].map((answer) => (answer as JobStore.ExchangeReply).claimed)
  return ours!.length === theirs!.length && ours!.some(({ id }, i) => id !== theirs![i]!.id) &&
    ours!.every((claimed, i) => {
      const other = theirs![i]!
      return claimed.queue === other.queue && claimed.priority === other.priority && claimed.readyAt === other.readyAt
    })
}

/** The clock of the memory store of a run. Nothing in it sleeps. */
const clockOf = (run: Run): Clock.Clock => {
  const nanos = () => BigInt(run.now) * 1_000_000n
  return {
    currentTimeMillisUnsafe: () => run.now,
    currentTimeMillis: Effect.sync(() => run.now),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: () => Effect.never
  }
}

/** Runs a program on a memory store and on another one; fails where they differ. */
export const compare = (program: ReadonlyArray<Step>, other: Subject): Effect.Effect<boolean, Difference> =>
  Effect.gen(function*() {
    const run = new Run()
    const memory = Context.get(
      // What a program leaves behind is nobody's loss.
      yield* Layer.build(Layer.provide(Layer.fresh(JobStore.layerMemory()), Logger.layer([]))).pipe(
        Effect.provideService(Clock.Clock, clockOf(run))
      ),
      JobStore.JobStore
    )
    const store = yield* other.empty
    yield* other.setClock(run.now)
    for (const [i, step] of program.entries()) {
      if (step._tag === "Pass") {
        run.now += step.millis
        yield* other.setClock(run.now)
      }
      const asked = callOf(run, step)
      const call: Call = (store) => run.passes ? Effect.tap(asked(store), () => store.maintain) : asked(store)
      const expected = yield* observed(memory, call, run.ids)
      const found = yield* observed(store, call, run.ids)
      if (
        step._tag === "Claim" && expected.raw !== undefined && found.raw !== undefined &&
        isTie(expected.raw.answer, found.raw.answer)
      ) return true
      const [first, ...rest] = differing("", expected.seen, found.seen)
      if (first !== undefined) {
        const [path] = first
        return yield* Effect.fail({
          step: i + 1,
          kind: `${step._tag}${path.replaceAll(/\d+/g, "n")}`,
          after: `step ${i + 1}, ${describe(step)}: ${path}${rest.length === 0 ? "" : ` and ${rest.length} more`}`,
          memory: JSON.stringify([first, ...rest].slice(0, 8).map(([path, value]) => [path, value])),
          other: JSON.stringify([first, ...rest].slice(0, 8).map(([path, , value]) => [path, value]))
        })
      }
      if (step._tag === "Claim" && expected.raw !== undefined) {
        const { claimed } = expected.raw.answer as JobStore.ExchangeReply
        for (const { fence, id } of claimed) run.attempts.push({ worker: step.worker, at: { id, fence } })
      }
    }
    return true
  }).pipe(Effect.scoped)

/** `CAPSTAN_DIFFERENTIAL` is how many programs there are, and `CAPSTAN_DIFFERENTIAL_SEED` gives others. */
type Env = Readonly<Record<string, string | undefined>>

/** No more than this is told of: who mends one mostly mends several. */
const mostDifferences = 8

/**
 * A program that differs, without the steps that it differs without.
 *
 * What stands after the step that shows it is dropped at once, then runs of steps are, ever shorter ones, until no single one can
 * be. A shrinker of values knows neither; it took minutes where this takes seconds.
 */
const shrink = (
  program: ReadonlyArray<Step>,
  difference: Difference,
  other: Subject
): Effect.Effect<{ readonly program: ReadonlyArray<Step>; readonly difference: Difference }> =>
  Effect.gen(function*() {
    let shortest = { program: program.slice(0, difference.step), difference }
    for (let length = Math.ceil(difference.step / 2); length >= 1;) {
      let isShorter = false
      for (let from = shortest.program.length - length; from > -length; from -= length) {
        const { program } = shortest
        const without = [...program.slice(0, Math.max(0, from)), ...program.slice(from + length)]
        const result = yield* Effect.result(compare(without, other))
        if (result._tag === "Success" || result.failure.kind !== shortest.difference.kind) continue
        shortest = { program: without.slice(0, result.failure.step), difference: result.failure }
        isShorter = true
      }
      if (!isShorter || length > 1) length = length === 1 ? 0 : Math.floor(length / 2)
    }
    return shortest
  })

/** Compares random programs, and answers what those that differ have been shrunk to, step by step: one of each kind. */
export const explore = (other: Subject, env: Env): Effect.Effect<string | undefined> =>
  Effect.gen(function*() {
    const count = Number(env.CAPSTAN_DIFFERENTIAL ?? 24)
    const seed = env.CAPSTAN_DIFFERENTIAL_SEED ?? "a"
    const sample = (kinds: string, step: Schema.Codec<Step>) =>
      Effect.orDie(
        Arbitrary.sampleEffect(programs(40, step), { count: Math.ceil(count / 2), seed: `${seed} ${kinds}`, size: 60 })
      )
    const any = yield* sample("any", Step)
    const others = yield* sample("lasting", Schema.Union(steps(addOf(Schema.Literals(lasting)))))
    const all = any.flatMap((program, i) => [program, others[i]!])
    const found = new Map<string, string>()
    for (const [i, given] of all.entries()) {
      if (found.size >= mostDifferences) break
      const result = yield* Effect.result(compare(given, other))
      if (result._tag === "Success" || found.has(result.failure.kind)) continue
      const { difference, program } = yield* shrink(given, result.failure, other)
      found.set(
        difference.kind,
        [
          `two stores differ, found by program ${i + 1}:`,
          ...program.map((step, i) => `  ${i + 1}. ${describe(step)}`),
          `after ${difference.after}`,
          `  memory: ${difference.memory}`,
          `  other:  ${difference.other}`
        ].join("\n")
      )
    }
    return found.size === 0 ? undefined : [...found.values()].join("\n\n")
  })
