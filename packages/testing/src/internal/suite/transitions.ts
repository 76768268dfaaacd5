/**
 * Every operation on a record in every situation, as `Operations.table` says: a record for each pair, and one call for all
 * situations where the verb takes many.
 */
import { assert } from "@effect/vitest"
import { JobRecord, JobStore, Lifecycle, Operations } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

type Situation = Operations.Situation
type Operation = Operations.Operation
type Answers = ReadonlyMap<JobRecord.JobId, Operations.Answer>

/** Milliseconds until what is scheduled is due. */
const due = 5000
/** Beyond that, and not as far as the end of a lease. */
const later = 2 * due

const waitpoint = "x"

/** A fence that no attempt has had. */
const noFence = 1000

/** What makes a claimed record what it is to be. Those without an entry are claimed by nobody. */
const claimedAs: Readonly<Record<Situation, JobStore.Outcome | "claimed" | undefined>> = {
  "absent": undefined,
  "scheduled": undefined,
  "ready": undefined,
  "running": "claimed",
  "running, cancel asked": "claimed",
  "completed": H.complete,
  "cancelled": { _tag: "Cancel", reason: "r" },
  "dead": H.dead,
  "blocked: Dependencies": undefined,
  "blocked: ConcurrencyKey": undefined,
  "blocked: Unique": undefined,
  "blocked: Waitpoint": { _tag: "WaitFor", waitpoint },
  "blocked: Children": { _tag: "WaitForChildren" },
  "blocked: NoHandler": { _tag: "Park", reason: "NoHandler" },
  "blocked: NewerPayload": { _tag: "Park", reason: "NewerPayload" }
}

const situations = Object.keys(claimedAs) as ReadonlyArray<Situation>

/** Claims until there is nothing more: a store of several places may give some at a time. */
const claimAll = (worker: string, queue: string) =>
  Effect.gen(function*() {
    const all: Array<JobStore.Claimed> = []
    for (let i = 0; i < 20; i++) {
      const claimed = yield* H.claim(worker, 1000, queue)
      if (claimed.length === 0) return all
      all.push(...claimed)
    }
    return assert.fail("there is something to claim after twenty claims")
  })

/** One record in each situation, and how it stands. */
interface Placed {
  readonly ids: Readonly<Record<Situation, JobRecord.JobId>>
  /** The last attempt of each, or none: with a fence that no attempt has had. */
  readonly at: ReadonlyArray<JobStore.AttemptRef>
  /** Attempts of what holds some of them up. */
  readonly others: ReadonlyArray<JobStore.AttemptRef>
}

type Found = ReadonlyMap<JobRecord.JobId, JobRecord.JobRecord>

const look = (ids: ReadonlyArray<JobRecord.JobId>) =>
  Effect.flatMap(JobStore.JobStore, ({ query }) =>
    Effect.map(
      query({ where: { ids }, order: "oldest", limit: ids.length }),
      ({ records }): Found => new Map(records.map((record) => [record.id, record]))
    ))

interface Group {
  readonly operation: Operation
  readonly ids: Placed["ids"]
  readonly parent: JobRecord.JobId
  readonly child: JobStore.NewRecord
}

/** Sets of records, all of them in a few calls. */
const place = (operations: ReadonlyArray<Operation>, given: Partial<JobStore.NewRecord> = {}) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const sets = operations.map((operation): Group => {
      const ids = Object.fromEntries(situations.map((situation) => [situation, H.newId()])) as Placed["ids"]
      return { ids, operation, parent: H.newId(), child: H.record({ queue: "other", partitionKey: operation }) }
    })
    const inSituation = ({ ids, operation }: Group, situation: Situation, more: Partial<JobStore.NewRecord> = {}) =>
      H.record({
        queue: claimedAs[situation] === undefined ? "waits" : "works",
        ...given,
        ...more,
        id: ids[situation],
        partitionKey: operation,
        ...(operation === "enqueue" ? { idempotencyKey: ids[situation] } : {})
      })
    yield* store.enqueue({
      records: sets.flatMap((set) => [
        H.record({ queue: "other", partitionKey: set.operation, id: set.parent }),
        H.record({ queue: "other", partitionKey: set.operation, concurrency: { key: set.operation, limit: 1 } }),
        H.record({
          queue: "other",
          partitionKey: set.operation,
          unique: { key: set.operation, until: "finished", onConflict: "runAfter" }
        }),
        inSituation(set, "scheduled", { delay: due }),
        inSituation(set, "ready"),
        inSituation(set, "blocked: Dependencies", { dependencies: [{ name: "parent", id: set.parent }] }),
        inSituation(set, "blocked: ConcurrencyKey", { concurrency: { key: set.operation, limit: 1 } }),
        ...situations.filter((situation) => claimedAs[situation] !== undefined).map((situation) =>
          inSituation(set, situation)
        )
      ])
    })
    const fences = new Map((yield* claimAll("w", "works")).map(({ fence, id }) => [id, fence]))
    const others = yield* claimAll("other", "other")
    yield* store.enqueue({
      records: sets.map((set) =>
        inSituation(set, "blocked: Unique", {
          unique: { key: set.operation, until: "finished", onConflict: "runAfter" }
        })
      )
    })
    yield* H.exchange("w", {
      settlements: sets.flatMap(({ child, ids }) =>
        situations.flatMap((situation) => {
          const outcome = claimedAs[situation]
          if (outcome === undefined || outcome === "claimed") return []
          const id = ids[situation]
          const children = outcome._tag === "WaitForChildren" ? { children: [child] } : {}
          return [{ id, fence: fences.get(id)!, outcome, finishedAfter: 0, ...children }]
        })
      )
    })
    others.push(...yield* claimAll("other", "other"))
    yield* H.control({ _tag: "Cancel", reason: "r" }, ...sets.map(({ ids }) => ids["running, cancel asked"]))
    const found = yield* look(sets.flatMap(({ ids }) => Object.values(ids)))
    for (const { ids } of sets) {
      for (const situation of situations) {
        assert.strictEqual(situationOf(found.get(ids[situation])), situation, "the record is not placed")
      }
    }
    const placed = sets.map(({ ids }): Placed => ({
      ids,
      at: situations.map((situation) => ({ id: ids[situation], fence: fences.get(ids[situation]) ?? noFence })),
      others
    }))
    return { found, placed }
  })

const situationOf = (record: JobRecord.JobRecord | undefined): Situation => {
  if (record === undefined) return "absent"
  if (record.state === "blocked") return `blocked: ${record.blocked!.reason}`
  return record.state === "running" && record.cancelRequested !== undefined ? "running, cancel asked" : record.state
}

const idsOf = ({ ids }: Placed) => Object.values(ids)

const settling = (outcome: JobStore.Outcome) => ({ at }: Placed) =>
  Effect.map(
    H.exchange("w", {
      settlements: at.map(({ fence, id }) => ({
        id,
        fence,
        outcome,
        finishedAfter: 0,
        ...(outcome._tag === "WaitForChildren" ? { children: [H.record({ queue: "other" })] } : {})
      }))
    }),
    ({ settled }): Answers => new Map(at.map(({ id }, i) => [id, settled[i]!]))
  )

const writing = (entry: (at: JobStore.AttemptRef) => JobStore.WriteEntry) => ({ at }: Placed) =>
  Effect.flatMap(
    JobStore.JobStore,
    ({ write }) =>
      Effect.map(write(at.map(entry)), (answers): Answers => new Map(at.map(({ id }, i) => [id, answers[i]!])))
  )

const controlling = (action: JobStore.ControlAction) => (placed: Placed) =>
  Effect.flatMap(JobStore.JobStore, ({ control }) =>
    Effect.map(
      control({ action, where: { ids: idsOf(placed) }, limit: 100 }),
      ({ outcomes }): Answers => new Map(outcomes.map(({ id, outcome }) => [id, outcome]))
    ))

const claiming = Effect.map(
  Effect.zip(claimAll("claimer", "waits"), claimAll("claimer", "works")),
  (claimed): Answers => new Map(claimed.flat().map(({ id }) => [id, "Given"]))
)

const nothing: Answers = new Map()

/** What holds the records up ends. */
const ending = (outcome: JobStore.Outcome) => ({ others }: Placed) =>
  Effect.as(
    H.exchange("other", { settlements: others.map(({ fence, id }) => ({ id, fence, outcome, finishedAfter: 0 })) }),
    nothing
  )

type Perform = (placed: Placed) => Effect.Effect<Answers, unknown, JobStore.JobStore>

const perform: Readonly<Record<Operation, Perform>> = {
  "enqueue": (placed) =>
    Effect.flatMap(JobStore.JobStore, ({ enqueue }) =>
      Effect.map(
        enqueue({
          records: situations.map((situation) => {
            const id = placed.ids[situation]
            return H.record({
              id: situation === "absent" ? id : H.newId(),
              queue: "waits",
              partitionKey: "enqueue",
              idempotencyKey: id
            })
          })
        }),
        (answers): Answers => new Map(answers.map(({ id, outcome }) => [id, outcome]))
      )),
  "claim": () => claiming,
  "claim due": () => Effect.andThen(H.advance(later), claiming),
  "settle Complete": settling(H.complete),
  "settle Dead": settling(H.dead),
  "settle Cancel": settling({ _tag: "Cancel", reason: "r" }),
  "settle RetryAfter": settling(H.retryAfter(due)),
  "settle SnoozeFor": settling({ _tag: "SnoozeFor", delay: due }),
  "settle WaitFor": settling({ _tag: "WaitFor", waitpoint }),
  "settle WaitForChildren": settling({ _tag: "WaitForChildren" }),
  "settle Release": settling({ _tag: "Release" }),
  "settle Park": settling({ _tag: "Park", reason: "NoHandler" }),
  "write Step": writing((at) => ({ _tag: "Step", at, name: "s", value: "1" })),
  "write Progress": writing((at) => ({ _tag: "Progress", at, value: "1" })),
  "write Log": writing((at) => ({ _tag: "Log", at, lines: ["1"] })),
  "renew held": ({ at }) =>
    Effect.map(H.renew("w", { holding: at }), ({ lost }): Answers => new Map(lost.map(({ id }) => [id, "Taken"]))),
  "renew forgotten": () => Effect.as(H.renew("w", { reconcileOlderThan: 0 }), nothing),
  "renew able": () => Effect.as(H.renew("able", { handles: [{ tag: "Task", version: 9 }] }), nothing),
  "signal": (placed) =>
    Effect.flatMap(JobStore.JobStore, ({ signal }) =>
      Effect.map(
        Effect.forEach(
          idsOf(placed),
          (id) => Effect.map(signal({ id, waitpoint, value: "1" }), (answer) => [id, answer] as const)
        ),
        (answers): Answers => new Map(answers)
      )),
  "results": (placed) =>
    Effect.flatMap(
      JobStore.JobStore,
      ({ results }) =>
        Effect.map(results(idsOf(placed)), (answers): Answers => new Map(answers.map(({ _tag, id }) => [id, _tag])))
    ),
  "control Cancel": controlling({ _tag: "Cancel", reason: "r" }),
  "control Retry": controlling({ _tag: "Retry" }),
  "control edit": controlling({
    _tag: "Retry",
    payload: { json: "1", version: 1, sensitive: { payload: [], result: [], error: [], progress: [] } }
  }),
  "control Promote": controlling({ _tag: "Promote" }),
  "control Reschedule": controlling({ _tag: "Reschedule", delay: later }),
  "control Reprioritise": controlling({ _tag: "Reprioritise", priority: 3 }),
  "control Delete": controlling({ _tag: "Delete" }),
  "maintain expired": () => Effect.as(Effect.andThen(H.advance(later), H.maintainAll), nothing),
  "maintain lease ended": () => Effect.as(Effect.andThen(H.advance(H.lease), H.maintainAll), nothing),
  "others completed": ending(H.complete),
  "others died": ending(H.dead)
}

/** What became of a record, in a line: the answer, the situation, by how much the fence rose, and the attempt. */
const line = (answer: Operations.Answer, to: Situation, fence: number, attempt: number | undefined) =>
  to === "absent" ? `${answer}: ${to}` : `${answer}: ${to}, fence +${fence}, attempt ${attempt}`

const expected = (operation: Operation, situation: Situation, was: JobRecord.JobRecord | undefined): string => {
  const { answer, events, to } = Operations.table[operation][situation]
  let fence = 0
  let attempt = was?.attempt ?? 0
  let state = was?.state
  for (const [i, event] of events.entries()) {
    const row: Lifecycle.Transition = Lifecycle.table[event]
    const next = i < events.length - 1 ? row.to[0]! : stateOf(to ?? situation)!
    assert.isTrue(Lifecycle.allows(event, state!, next), `${event} does not lead from ${state} to ${next}`)
    fence += row.fence
    // A life that begins anew has had no attempt.
    attempt = event === "replay" ? 0 : attempt + row.attempt
    state = next
  }
  return line(answer, to ?? situation, fence, attempt)
}

const stateOf = (situation: Situation): JobRecord.State | undefined =>
  JobRecord.states.find((state) => situation.startsWith(state))

/** Operations that may be asked of one store together: they leave the records of each other alone. */
const checked = (operations: ReadonlyArray<Operation>, given?: Partial<JobStore.NewRecord>) =>
  function*() {
    const { found: before, placed } = yield* place(operations, given)
    const answers: Array<Answers> = []
    for (const [i, operation] of operations.entries()) answers.push(yield* perform[operation](placed[i]!))
    const after = yield* look(placed.flatMap(idsOf))
    const table = (row: (operation: Operation, situation: Situation, i: number, id: JobRecord.JobId) => string) =>
      operations.flatMap((operation, i) =>
        situations.map((situation) =>
          `${operation} of ${situation} is ${row(operation, situation, i, placed[i]!.ids[situation])}`
        )
      )
    assert.deepStrictEqual(
      table((_, __, i, id) => {
        const [was, is] = [before.get(id), after.get(id)]
        return line(answers[i]!.get(id) ?? "Silent", situationOf(is), (is?.fence ?? 0) - (was?.fence ?? 0), is?.attempt)
      }),
      table((operation, situation, _, id) => expected(operation, situation, before.get(id)))
    )
  }

const operations = Object.keys(Operations.table) as ReadonlyArray<Operation>
const of = (...verbs: ReadonlyArray<string>) => operations.filter((name) => verbs.includes(name.split(" ")[0]!))

/** What touches only the records that it names is asked of one store, and whatever else of one of its own. */
const together = [of("settle"), of("control"), of("enqueue", "write", "signal", "results")]

const groups = [
  ...together,
  ...operations.filter((name) => !together.flat().includes(name)).map((name) => [name])
]

export const transitionFacts: ReadonlyArray<H.Fact> = groups.map((group) => {
  const names = group.length === 1 ? group : new Set(group.map((name) => name.split(" ")[0]))
  return H.fact(
    `in every state a record takes it as the table says: ${[...names].join(", ")}`,
    checked(group, group[0] === "maintain expired" ? { startBefore: 1000 } : {})
  )
})
