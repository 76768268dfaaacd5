/**
 * The processes of one run, on a namespace of its own: workers that are replaced when they end, and producers.
 *
 * A few processes are kept that have read their program already, so that a killed worker is replaced in the time that a
 * process on another core would take.
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Child, type Program } from "./child.ts"
import type { Choices } from "./choices.ts"
import * as Ledger from "./ledger.ts"
import type { Common, Load, ProducerTask, WorkerTask } from "./processes.ts"
import type { Safeguard, Server } from "./store.ts"

/** The lease of workers, and how often idle ones look, in milliseconds. */
export const lease = 2000
export const poll = 2000

/** A lease that a busy machine does not let lapse, where that is not what is tested. */
export const unhurried = 8000

export interface ClusterOptions {
  readonly store: string
  readonly server: Server
  readonly namespace: string
  readonly without: Safeguard | undefined
  readonly folder: string
  /** Where their programs are. */
  readonly programs: string
  /** Those with the release before, which every other process is then of. */
  readonly before: string | undefined
  readonly seed: number
  readonly choices: Choices
}

/** How the names of processes of the release before begin. */
const ofBefore = "before-"

export const isOfBefore = (name: string): boolean => name.startsWith(ofBefore)

export interface WorkersOptions {
  readonly count: number
  readonly concurrency: number
  /** Of the server, or of a proxy before it. */
  readonly port?: number
  /** @default `lease` */
  readonly lease?: number
  /** @default those of `JobWorker.layer` */
  readonly shutdownGrace?: number
  readonly interruptGrace?: number
  /** Milliseconds by which the wall clock of every other worker is off, by turns ahead and behind. */
  readonly clockOff?: number
  /** Whether they write down what they have of their machine. */
  readonly samples?: boolean
  /** Whether they serve the schedules, too. */
  readonly ticks?: boolean
}

export interface ProducersOptions {
  readonly loads: ReadonlyArray<Load>
  /** Of each, in turn. */
  readonly ports?: ReadonlyArray<number>
}

export class Cluster {
  readonly server: Server
  readonly namespace: string
  readonly choices: Choices
  readonly folder: string
  private readonly options: ClusterOptions
  private readonly write: Ledger.Write
  private workerOptions: WorkersOptions = { count: 0, concurrency: 0 }
  private readonly alive = new Set<Child>()
  private readonly spares: Array<Child> = []
  private readonly producers: Array<Child> = []
  private readonly working = new Set<Child>()
  private closing = false
  /** All workers are gone, and none comes up. */
  private isDown = false
  private started = 0
  private told = 0
  /** What went wrong with the processes themselves. */
  readonly complaints: Array<string> = []
  /** Ends of workers that are part of the run, beside those that we kill: by poison. */
  mayEnd = false

  constructor(options: ClusterOptions) {
    this.options = options
    this.server = options.server
    this.namespace = options.namespace
    this.choices = options.choices
    this.folder = join(options.folder, options.namespace)
    mkdirSync(this.folder, { recursive: true })
    this.write = Ledger.open(this.folder, "runner")
  }

  get workers(): ReadonlyArray<Child> {
    return [...this.alive]
  }

  /** What has been written so far. */
  entries(): ReadonlyArray<Ledger.Entry> {
    return Ledger.read(this.folder)
  }

  /** Notes what was done to whom. */
  note(fault: string, whom: string = ""): void {
    this.write("fault", { id: whom, word: fault })
  }

  async startWorkers(options: WorkersOptions): Promise<void> {
    this.workerOptions = options
    for (let i = 0; i < options.count + 2; i++) this.spare()
    await this.startAll()
  }

  private async startAll(): Promise<void> {
    await Promise.all(Array.from({ length: this.workerOptions.count }, () => this.startWorker()))
  }

  /** Ends all workers at once, and looks at what they leave before others start in their places. */
  async replaceAll(end: (worker: Child) => Promise<void>, look: () => Promise<void>): Promise<void> {
    for (let i = this.spares.length; i < this.workerOptions.count; i++) this.spare()
    await Promise.all(this.spares.map((spare) => spare.hears("loaded")))
    this.isDown = true
    await Promise.all(this.workers.map(end))
    await look()
    this.isDown = false
    await this.startAll()
  }

  private spare(): void {
    this.spares.push(this.child("worker", `worker-${++this.started}`, this.started))
  }

  /** Every other one is of the release before, where that takes part. */
  private child(program: Program, name: string, count: number): Child {
    const { before, programs, store } = this.options
    return before !== undefined && count % 2 === 0
      ? new Child(program, { folder: this.folder, name: `${ofBefore}${name}`, programs: before, store })
      : new Child(program, { folder: this.folder, name, programs, store })
  }

  private async startWorker(): Promise<void> {
    const worker = this.spares.shift()!
    if (isOfBefore(worker.name)) this.note("worker of the release before", worker.name)
    const { clockOff = 0, port, ...options } = this.workerOptions
    this.alive.add(worker)
    void worker.ended.then((how) => this.replace(worker, how))
    if (!await worker.hears("loaded")) return
    const off = [0, clockOff, 0, -clockOff][++this.told % 4]!
    if (off !== 0) this.note("clock off", worker.name)
    const task: WorkerTask = { ...this.common(worker.name, port), lease, ...options, clockOff: off }
    worker.ask({ _tag: "begin", task })
    if (!await worker.hears("ready")) return
    this.working.add(worker)
    this.write("ready", { id: worker.name })
  }

  private common(name: string, port: number = this.server.port): Common {
    const { namespace, store, without } = this.options
    return { store, namespace, without, url: this.server.urlAt(port), folder: this.folder, name }
  }

  private replace(worker: Child, how: string): void {
    this.alive.delete(worker)
    this.working.delete(worker)
    if (this.closing) return
    if (!worker.isKilled) {
      if (this.mayEnd && how === "SIGKILL") this.note("killed itself", worker.name)
      else this.complaints.push(`${worker.name} ended by itself: ${how}`)
    }
    if (this.isDown) return
    this.spare()
    void this.startWorker()
  }

  async startProducers({ loads, ports = [] }: ProducersOptions): Promise<void> {
    const producers = loads.map((load, i) => {
      const child = this.child("producer", `producer-${i + 1}`, i + 1)
      const { name } = child
      if (isOfBefore(name)) this.note("producer of the release before", name)
      this.producers.push(child)
      void child.ended.then((how) => this.closing || this.complaints.push(`${name} ended by itself: ${how}`))
      const task: ProducerTask = {
        ...this.common(name, ports[i]),
        load,
        seed: this.options.seed,
        first: i + 1,
        step: loads.length
      }
      return { child, task }
    })
    await Promise.all(producers.map(async ({ child, task }) => {
      await child.hears("loaded")
      child.ask({ _tag: "begin", task })
      await child.hears("ready")
    }))
  }

  /** One that works, unless it is the last that does: on a busy machine the next may take its time to come up. */
  pickWorker(): Child | undefined {
    const working = this.workers.filter((worker) => this.working.has(worker) && !worker.isFrozen && !worker.isGone)
    return working.length > 1 ? this.choices.pick(working) : undefined
  }

  /** kill -9 of a random worker; another one takes its place. */
  async killOne(): Promise<void> {
    const worker = this.pickWorker()
    if (worker === undefined) return
    await worker.kill()
    // Afterwards: whatever it still wrote is from before its death.
    this.note("kill", worker.name)
  }

  /** SIGTERM of the worker that has been there longest, as in a deployment; another one takes its place. */
  async deployOne(): Promise<void> {
    const worker = this.workers.find((worker) => this.working.has(worker) && !worker.isGone)
    if (worker === undefined || this.working.size === 1) return
    this.working.delete(worker)
    this.note("deployment", worker.name)
    await worker.terminate()
  }

  /** kill -9 of the worker that has ticked last; another one takes its place. */
  async killTicker(): Promise<void> {
    const last = Ledger.read(this.folder).findLast(({ kind }) => kind === "tick")?.by
    const worker = this.workers.find(({ isGone, name }) => name === last && !isGone)
    if (worker === undefined || this.working.size === 1) return
    await worker.kill()
    this.note("kill", worker.name)
  }

  async freezeOne(seconds: number): Promise<void> {
    const worker = this.pickWorker()
    if (worker === undefined) return
    this.note("freeze", worker.name)
    await worker.freeze(seconds)
    this.note("thaw", worker.name)
  }

  /** Waits, and not longer than that, until every worker that lives has started a job from now on: producers go on. */
  async everyWorkerStarts(millis: number): Promise<void> {
    const from = Ledger.now()
    const started = () =>
      new Set(Ledger.read(this.folder).filter(({ at, kind }) => kind === "start" && at > from).map(({ by }) => by))
    while (Ledger.now() - from < millis) {
      const names = started()
      if ([...this.working].every(({ name }) => names.has(name))) return
      await sleep(250)
    }
  }

  /** Producers stop; answers those whose enqueues did not all come to an end in time. */
  async stopProducers(seconds: number = 20): Promise<ReadonlyArray<string>> {
    for (const producer of this.producers) producer.ask({ _tag: "stop" })
    const wedged = await Promise.all(this.producers.map(async (producer) => {
      const stopped = await Promise.race([producer.hears("stopped"), sleep(seconds * 1000, undefined, { ref: false })])
      return stopped === true ? [] : [producer.name]
    }))
    return wedged.flat()
  }

  /**
   * Waits until every record has come to an end, or none does any more and none begins. One that was struck again and again begins
   * for the last time when all others have ended. Answers how many are left.
   */
  async rest(patience: number = usual): Promise<number> {
    const end = Ledger.now() + atMost
    let left = Infinity
    let since = Ledger.now()
    for (;;) {
      const count = await this.server.unfinished(this.namespace)
      if (count === 0) return 0
      if (count < left) {
        left = count
        since = Ledger.now()
      }
      if (Ledger.now() - since > patience) {
        const begun = Ledger.read(this.folder).reduce(
          (last, { at, kind }) => kind === "start" ? Math.max(last, at) : last,
          0
        )
        if (begun <= since || Ledger.now() > end) return count
        since = begun
      }
      await sleep(100)
    }
  }

  async close(): Promise<void> {
    this.closing = true
    await Promise.all([...this.alive, ...this.spares, ...this.producers].map((child) => child.kill()))
  }
}

/** Longer than a claim can wait for its lease to end, the next sweep, a poll, and the longest handler that runs. */
const usual = 4 * lease + poll
/** What begins anew without end is stuck, too. */
const atMost = 120_000
