/**
 * What must hold after every step of the store, found by comparing all records before and after it.
 */
import { JobRecord, type JobStore, Lifecycle } from "capstan"
import { Effect, Scheduler, Semaphore } from "effect"
import { Deaths, tells } from "./deaths.ts"
import { chargesOf, eventOf, isStart } from "./events.ts"
import { Starts } from "./rates.ts"
import type { Schedules } from "./schedules.ts"
import { tag } from "./stepLog.ts"
import type { World } from "./world.ts"

export const keyLimit = 2
/** At most so many records of this queue run. */
export const queueLimit = { queue: "parents", concurrency: 3 } as const

const events = Object.keys(Lifecycle.table) as ReadonlyArray<Lifecycle.Event>

const isDirect = (from: JobRecord.State, to: JobRecord.State): boolean =>
  events.some((event) => Lifecycle.allows(event, from, to))

/** One call may let a record go on twice: a due record is claimed in the exchange that makes it ready. */
const isLegal = (from: JobRecord.State, to: JobRecord.State): boolean =>
  isDirect(from, to) || JobRecord.states.some((middle) => isDirect(from, middle) && isDirect(middle, to))

/** Those of the features see to themselves. */
const hasLimit = (key: string): boolean => !key.startsWith("@") || key.startsWith("@shared/")

/** Records of this job have one unique key among them, with `runAfter`: one has it, and one more may wait for its end. */
export const uniqueTag = "Deduplicated"

export class Invariants {
  private readonly world: World
  private readonly store: JobStore.Shape
  private readonly strandedAfter: number
  private readonly mayCrash: boolean
  /** Looked at after every step: of a store elsewhere it would double the calls. */
  private readonly seesEdges: boolean
  /** Records that were seen to wait for others. */
  private readonly waited = new Set<string>()
  /** Of the keys of the limit that several jobs share. */
  private readonly starts: Starts
  private readonly schedules: Schedules | undefined
  private readonly deaths = new Deaths()
  private before = new Map<string, JobRecord.JobRecord>()
  private readonly turn = Semaphore.makeUnsafe(1)

  constructor(
    world: World,
    store: JobStore.Shape,
    options: {
      readonly strandedAfter: number
      readonly mayCrash: boolean
      readonly seesEdges?: boolean
      readonly schedules?: Schedules
    }
  ) {
    this.world = world
    this.starts = new Starts(world)
    this.store = store
    this.strandedAfter = options.strandedAfter
    this.mayCrash = options.mayCrash
    this.seesEdges = options.seesEdges ?? false
    this.schedules = options.schedules
  }

  /**
   * One at a time: records that were read earlier would be compared with later ones. At a store in this process it looks
   * without a pause: else virtual time passes while a queue of looks holds up what they look at.
   */
  check(step: string): Effect.Effect<void> {
    return Effect.provideService(
      this.turn.withPermits(1)(Effect.suspend(() => this.look(step))),
      Scheduler.PreventSchedulerYield,
      true
    )
  }

  private look(step: string): Effect.Effect<void> {
    const askedAt = this.world.now()
    return Effect.flatMap(this.records, (after) => {
      const running = new Map<string, number>()
      let inQueue = 0
      const ofKey = { have: 0, wait: 0 }
      for (const record of after.values()) {
        const key = record.concurrencyKey
        if (record.state === "running") {
          if (key !== undefined && hasLimit(key)) running.set(key, (running.get(key) ?? 0) + 1)
          if (record.queue === queueLimit.queue) inQueue++
        }
        if (record.tag === uniqueTag && !JobRecord.isFinal(record.state)) {
          if (record.blocked?.reason === "Unique") ofKey.wait++
          else ofKey.have++
        }
        this.compare(this.before.get(record.id), record, step)
      }
      if (ofKey.have > 1 || ofKey.wait > 1) {
        this.world.violate(`${step}: ${ofKey.have} live records have one unique key, and ${ofKey.wait} wait for it`)
      }
      for (const [key, count] of running) {
        if (count > keyLimit) this.world.violate(`${step}: ${count} records of ${key} run, its limit is ${keyLimit}`)
      }
      if (inQueue > queueLimit.concurrency) {
        this.world.violate(
          `${step}: ${inQueue} records of ${queueLimit.queue} run, its limit is ${queueLimit.concurrency}`
        )
      }
      this.world.use.look(after, step, askedAt)
      const { before } = this
      this.before = after
      return Effect.andThen(this.seeSteps(before, after, step), this.seesEdges ? this.edges(after, step) : Effect.void)
    })
  }

  /** Only what runs, or has just come to an end, can have other checkpoints than before. */
  private seeSteps(
    before: ReadonlyMap<string, JobRecord.JobRecord>,
    after: ReadonlyMap<string, JobRecord.JobRecord>,
    step: string
  ): Effect.Effect<void> {
    const stepped = [...after.values()].filter((record) =>
      record.tag === tag && (record.state === "running" || before.get(record.id)?.fence !== record.fence)
    )
    return Effect.forEach(stepped, ({ id }) =>
      Effect.map(Effect.orDie(this.store.get(id)), (record) => {
        if (record !== undefined) this.world.stepLog.see(before.get(id), record, step)
      }), { discard: true })
  }

  private compare(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord, step: string): void {
    const { world } = this
    if (!this.mayCrash && is.crashes > 0) world.violate(`${step}: ${is.id} is charged with a crash, and no worker died`)
    if (is.claimedAt !== undefined && world.now() - is.claimedAt > this.strandedAfter) {
      world.violate(
        `${step}: ${is.id} has been held for ${world.now() - is.claimedAt} ms, longer than any handler runs`
      )
    }
    if (is.concurrencyKey?.startsWith("@shared/") && isStart(was, is)) this.starts.started(is, is.concurrencyKey, step)
    world.use.see(was, is, step)
    this.deaths.see(was, is)
    this.tell(was, is, step)
    if (was === undefined) return this.schedules?.stored(is, step, world)
    this.note(was, is, step)
    world.memberLog.see(was, is, step)
    if (is.fence < was.fence) world.violate(`${step}: the fence of ${is.id} fell from ${was.fence} to ${is.fence}`)
    if (was.state === is.state) return
    const transition = `${was.state} → ${is.state}`
    world.transitions.set(transition, (world.transitions.get(transition) ?? 0) + 1)
    if (!isLegal(was.state, is.state)) world.violate(`${step}: ${is.id} went ${transition}, which is not in the table`)
    if (was.state === "running" && is.fence === was.fence) {
      world.violate(`${step}: ${is.id} ended an attempt with the same fence`)
    }
    // Handlers answer the fence that they ran with.
    if (is.state === "completed" && !tells(is) && is.result !== String(was.fence)) {
      world.violate(
        `${step}: ${is.id} was completed by the attempt of fence ${is.result}, it was held with ${was.fence}`
      )
    }
  }

  private tell(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord, step: string): void {
    if (!this.world.tells || was?.state === is.state && was.fence === is.fence) return
    const by = is.worker === undefined ? "" : `, held by ${this.world.workers.get(is.worker) ?? is.worker}`
    const why = is.blocked === undefined ? is.deadReason ?? "" : is.blocked.reason
    const state = `${is.state}${why === "" ? "" : ` (${why})`}, fence ${is.fence}${by}`
    this.world.tell(is.id, `${step}: ${is.tag} ${was === undefined ? "" : `${was.state} → `}${state}`)
  }

  /** One event of the table does to the fence and to the attempts what its row says. */
  private note(was: JobRecord.JobRecord, is: JobRecord.JobRecord, step: string): void {
    const { world } = this
    const event = eventOf(was, is)
    if (event === undefined) return
    world.events.set(event, (world.events.get(event) ?? 0) + 1)
    const row: Lifecycle.Transition = Lifecycle.table[event]
    if (!Lifecycle.allows(event, was.state, is.state)) {
      world.violate(`${step}: ${is.id} took ${event} from ${was.state} to ${is.state}, which is not in the table`)
    }
    if (is.fence - was.fence !== row.fence) {
      world.violate(`${step}: ${event} of ${is.id} moved its fence from ${was.fence} to ${is.fence}`)
    }
    // A replay begins a new life.
    if (event === "replay" ? is.attempt !== 0 : !chargesOf(event, row).includes(is.attempt - was.attempt)) {
      world.violate(`${step}: ${event} of ${is.id} moved its attempts from ${was.attempt} to ${is.attempt}`)
    }
  }

  /** What a worker is given must be its own. */
  claimed(name: string, worker: string, claimed: ReadonlyArray<JobStore.Claimed>): Effect.Effect<void> {
    return claimed.length === 0 ? Effect.void : Effect.map(this.records, (records) => {
      for (const { fence, id } of claimed) {
        const record = records.get(id)
        if (record?.worker === worker && record.fence === fence) continue
        this.world.violate(
          `${name} was given ${id} with fence ${fence}, which ${record?.worker ?? "nobody"} holds with ${record?.fence}`
        )
      }
    })
  }

  /** What a stale attempt writes is refused. */
  written(name: string, entries: ReadonlyArray<JobStore.WriteEntry>, answers: ReadonlyArray<JobStore.Settled>): void {
    entries.forEach(({ _tag, at }, i) => {
      const record = this.before.get(at.id)
      if (answers[i] !== "Done" || record === undefined || record.fence === at.fence) return
      this.world.violate(`${_tag} of ${name} for ${at.id} was taken with fence ${at.fence}, it has ${record.fence}`)
    })
  }

  get isAtRest(): Effect.Effect<boolean> {
    return Effect.map(this.records, (records) => {
      for (const id of this.world.acknowledged) if (!records.has(id)) return false
      for (const { state } of records.values()) if (!JobRecord.isFinal(state)) return false
      return this.lostTicks.length === 0
    })
  }

  /**
   * What waits for others waits for one that has not ended, and what runs has waited for all: nobody is stuck, and nobody is
   * free before its time.
   */
  private edges(records: ReadonlyMap<string, JobRecord.JobRecord>, step: string): Effect.Effect<void> {
    const asked = [...records.values()].filter(({ blocked, id, state }) => {
      if (state === "blocked" && blocked?.reason === "Dependencies") this.waited.add(id)
      return (state === "blocked" || state === "running") && this.waited.has(id)
    })
    return Effect.forEach(asked, ({ id }) => this.edgesOf(id, step), { discard: true })
  }

  /** Others may take a step between two looks: what holds before and after one held meanwhile. */
  private edgesOf(id: JobRecord.JobId, step: string): Effect.Effect<void> {
    const { store } = this
    // A child has its own id for its name, and may be waited for again.
    const open = Effect.map(
      store.dependencies({ id, limit: 1000 }),
      ({ dependencies }) => dependencies.filter(({ answer, name }) => answer._tag === "Pending" && name !== answer.id)
    )
    return Effect.orDie(Effect.gen({ self: this }, function*() {
      const before = yield* open
      const record = yield* store.get(id)
      const after = yield* open
      const isBlocked = record?.state === "blocked" && record.blocked?.reason === "Dependencies"
      if (isBlocked && before.length === 0 && after.length === 0) {
        this.world.violate(`${step}: ${id} waits, and all that it waits for has ended`)
      }
      if (record?.state === "running" && before.length > 0 && after.length > 0) {
        this.world.violate(`${step}: ${id} runs, and ${after[0]!.answer.id}, which it waits for, has not ended`)
      }
    }))
  }

  /** When nothing fails any more, everything that was acknowledged comes to an end. */
  get atRest(): Effect.Effect<void> {
    return Effect.map(this.records, (records) => {
      for (const id of this.world.acknowledged) {
        const record = records.get(id)
        if (record === undefined) this.world.violate(`${id} was acknowledged and is gone`)
        else if (!JobRecord.isFinal(record.state)) this.world.violate(`${id} is stranded: ${record.state}`)
      }
      for (const key of this.lostTicks) this.world.violate(`the tick of ${key} was lost`)
      this.deaths.check(records, this.world)
      this.world.use.rest(records)
    })
  }

  private get lostTicks(): ReadonlyArray<string> {
    return this.schedules?.lost ?? []
  }

  get records(): Effect.Effect<Map<string, JobRecord.JobRecord>> {
    return this.store.query({ where: {}, order: "oldest", limit: 10_000 }).pipe(
      Effect.map(({ records }) => new Map(records.map((record) => [record.id as string, record]))),
      Effect.orDie
    )
  }
}
