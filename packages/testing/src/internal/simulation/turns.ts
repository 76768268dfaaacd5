/**
 * Turns of tenants. A record waits for no more records of another tenant than the turns that its own tenant is behind: as many as are
 * ready of that before it, and two more, one of the turn at hand and one of the next.
 */
import { Job, JobLimit, type JobRecord } from "capstan"
import { Schema } from "effect"
import type { Choices } from "./choices.ts"
import { isStart } from "./events.ts"
import type { Feature } from "./features.ts"
import { common } from "./jobs.ts"
import type { World } from "./world.ts"

const Tenants = JobLimit.make("tenants", { order: "fair" })

export class Tenant extends Job.make("Tenant", {
  ...common,
  payload: { ...common.payload, tenant: Schema.String },
  queue: "tenants",
  limit: { by: Tenants, key: ({ tenant }) => tenant }
}) {}

/** Before that, workers may not have said yet that there are turns. */
const from = 10_000

const tenantOf = ({ concurrencyKey }: JobRecord.JobRecord): string => concurrencyKey!

interface Waiting {
  readonly tenant: string
  /** Records of its tenant that have their turn before it. */
  readonly before: number
  /** Those of others that have started since, by tenant. */
  readonly passed: Map<string, number>
}

export class Turns implements Feature {
  private readonly world: World
  private readonly waiting = new Map<string, Waiting>()
  /** Records that had a turn and have not started, by tenant. What was cancelled had one, too. */
  private readonly ahead = new Map<string, number>()
  private came: Array<JobRecord.JobRecord> = []
  private started: Array<JobRecord.JobRecord> = []

  constructor(world: World) {
    this.world = world
  }

  act(choices: Choices) {
    if (this.world.now() < from || !choices.chance(0.06)) return undefined
    const tenant = choices.pick(["a", "b", "c"])
    // Many of one come at a time, and few of another then find them there.
    const payloads = Array.from({ length: choices.pick([1, 2, 8]) }, () => ({
      tenant,
      millis: choices.between(100, 1500),
      failures: 0
    }))
    return this.world.acknowledge(Tenant.enqueueMany(payloads))
  }

  see(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord): void {
    if (is.tag !== Tenant._tag) return
    if (was === undefined || was.state === "scheduled") this.came.push(is)
    // What comes back has the place that it had.
    if (isStart(was, is) && is.fence === 1) this.started.push(is)
    if (is.state !== "ready") this.waiting.delete(is.id)
  }

  look(_: unknown, step: string): void {
    if (this.came.length === 0 && this.started.length === 0) return
    // What came in this step may have come after what started in it.
    for (const is of this.started) {
      const tenant = tenantOf(is)
      for (const [id, one] of this.waiting) if (one.tenant !== tenant) this.pass(id, one, tenant, step)
    }
    for (const is of this.came) {
      const tenant = tenantOf(is)
      const before = this.ahead.get(tenant) ?? 0
      this.ahead.set(tenant, before + 1)
      if (is.state === "ready") this.waiting.set(is.id, { tenant, before, passed: new Map() })
    }
    for (const is of this.started) this.ahead.set(tenantOf(is), this.ahead.get(tenantOf(is))! - 1)
    this.came = []
    this.started = []
  }

  private pass(id: string, { before, passed, tenant }: Waiting, by: string, step: string): void {
    const times = (passed.get(by) ?? 0) + 1
    passed.set(by, times)
    if (before === 0) this.world.met("tenant waits its turn")
    if (times > before + 2) {
      this.world.violate(
        `${step}: ${times} records of ${by} started before ${id} of ${tenant}, which has ${before} before it`
      )
    }
  }
}
