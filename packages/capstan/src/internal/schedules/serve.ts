/**
 * The schedules that a process declares: it puts them into the store, and ticks them for as long as its scope lives.
 *
 * Any number of processes do so. While two definitions of one schedule run side by side, as during a deploy, the one that
 * started last holds and the other stands by; it takes over when nobody serves that one any more.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { JobStoreError } from "../../JobError.ts"
import type { ScheduleRow, Shape } from "../../JobStore.ts"
import * as Log from "../log.ts"
import {
  anew,
  attentionOf,
  type Body,
  declared as textOf,
  decode,
  encode,
  isSameTime,
  standing,
  unserved
} from "./body.ts"
import { type Plan, toPlan } from "./plan.ts"
import { concurrency, type Templates, tickAsked, tickDue } from "./tick.ts"

/** One schedule as this process declares it. */
export interface Declared {
  readonly name: string
  /** Encodes the payload, where it is the same for all ticks. */
  readonly body: Effect.Effect<Body, unknown>
  readonly templates: Templates<unknown>
}

/** Where wake-ups may be lost: how often it looks whether somebody paused, resumed or asked. */
const poll = 10_000
/** After a failure, from a second to a minute. */
const backoff = (failures: number): number => Math.min(60_000, 1000 * 2 ** (failures - 1))

export const serve = (store: Shape, all: ReadonlyArray<Declared>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const changed = yield* listen(store)
    const served = all.map((one) => new Served(store, one))
    const names = all.map(({ name }) => name)
    let failures = 0
    yield* Effect.forkScoped(Effect.gen(function*() {
      for (;;) {
        changed.closeUnsafe()
        const wait = yield* Effect.matchCauseEffect(store.schedules({ names, limit: names.length }), {
          onSuccess: ({ now, rows }) => {
            failures = 0
            return look(served, rows, now)
          },
          onFailure: (cause) =>
            Effect.as(Log.warning("schedules could not be read, they are read again", cause), backoff(++failures))
        })
        const duration = Math.ceil(Math.min(wait, store.notifications === "exact" ? Infinity : poll))
        if (duration === Infinity) yield* changed.await
        else if (duration > 0) yield* Effect.timeoutOrElse(changed.await, { duration, orElse: () => Effect.void })
      }
    }))
  })

/** Opens when somebody has changed a schedule, in a store that says so. */
const listen = (store: Shape): Effect.Effect<Latch.Latch, never, Scope.Scope> =>
  Effect.gen(function*() {
    const changed = yield* Latch.make(false)
    if (store.notifications === "exact") {
      yield* Stream.runForEach(store.wakeups("schedules", []), () => Effect.sync(() => changed.openUnsafe())).pipe(
        Effect.ignore,
        Effect.forkScoped({ startImmediately: true })
      )
    }
    return changed
  })

/**
 * Sees to each schedule, and answers in how many milliseconds the first needs it again. Many are due at one instant, such as the full
 * hour: one after the other, the last is late by all the calls before.
 */
const look = (served: ReadonlyArray<Served>, rows: ReadonlyArray<ScheduleRow>, now: number): Effect.Effect<number> => {
  const found = new Map(rows.map((row) => [row.name, row]))
  return Effect.map(
    Effect.forEach(served, (one) => one.look(found.get(one.declared.name), now), { concurrency }),
    (waits) => waits.reduce((first, wait) => Math.min(first, wait), Infinity)
  )
}

class Served {
  readonly declared: Declared
  private readonly store: Shape
  private mine: { readonly body: Body; readonly text: string; readonly plan: Plan } | undefined
  private isPut = false
  private failures = 0
  private notBefore = 0

  constructor(store: Shape, declared: Declared) {
    this.store = store
    this.declared = declared
  }

  /** As often as it takes, whatever it fails with: a payload that throws, too, must not end the schedule. */
  look(row: ScheduleRow | undefined, now: number): Effect.Effect<number> {
    return Effect.flatMap(Clock.monotonicTimeNanos, (nanos) => {
      const elapsed = Number(nanos / 1_000_000n)
      if (elapsed < this.notBefore) return Effect.succeed(this.notBefore - elapsed)
      return Effect.matchCauseEffect(this.act(row, now), {
        onSuccess: (wait) => {
          this.failures = 0
          return Effect.succeed(wait)
        },
        onFailure: (cause) => {
          const wait = backoff(++this.failures)
          this.notBefore = elapsed + wait
          if (Cause.hasInterruptsOnly(cause)) return Effect.succeed(wait)
          return Effect.as(Log.warning(`schedule ${this.declared.name} failed and goes on`, cause), wait)
        }
      })
    })
  }

  /** Answers in how many milliseconds to look again. */
  private act(row: ScheduleRow | undefined, now: number): Effect.Effect<number, unknown> {
    return Effect.gen({ self: this }, function*() {
      if (this.mine === undefined) {
        const body = yield* this.declared.body
        this.mine = { body, text: textOf(body), plan: toPlan(this.declared.name, body.spec) }
      }
      const { plan, text } = this.mine
      if (row === undefined) return yield* this.put(undefined, undefined, now)
      const body = decode(row.body)
      const isMine = body.origin === "code" && textOf(body) === text
      if (!isMine) {
        // Once: were it put again with every look, two definitions would overwrite each other and neither would ever tick.
        const isHeld = this.isPut &&
          (body.paused?.reason === "Operator" || row.nextAt === undefined || row.nextAt + unserved > now)
        return isHeld ? (plan.after(now) ?? Infinity) - now : yield* this.put(row, body, now)
      }
      this.isPut = true
      if (body.paused?.reason === "Vanished" || body.unservedSince !== undefined) {
        return yield* this.claim(row, body, now)
      }
      const { templates } = this.declared
      if (body.askedAt !== undefined) {
        yield* tickAsked(this.store, row, body, templates, body.askedAt)
        return 0
      }
      if (body.paused !== undefined || row.nextAt === undefined) return Infinity
      const wait = plan.dueAt(row.nextAt) - now
      if (wait > 0) return wait
      yield* tickDue(this.store, row, body, plan, templates, now)
      return 0
    })
  }

  /** Puts this definition in the place of what was there. What operators asked for stays. */
  private put(row: ScheduleRow | undefined, was: Body | undefined, now: number): Effect.Effect<number, JobStoreError> {
    return Effect.gen({ self: this }, function*() {
      const { name } = this.declared
      const { body: mine, plan } = this.mine!
      if (was?.origin === "data") {
        yield* Log.warning(
          `schedule ${name} was made by JobSchedules.upsert, and is declared in code from here on`
        )
      }
      const paused = was?.paused?.reason === "Operator" ? was.paused : undefined
      const body = { ...mine, paused, askedAt: was?.askedAt }
      const at = row?.nextAt
      const next = at !== undefined && was !== undefined && isSameTime(was.spec, mine.spec)
        ? standing(body, plan, at)
        : at !== undefined && at <= now
        // What the other definition left undone is made up for by this one's instants.
        ? standing(body, plan, plan.after(at - 1))
        : anew(name, body, row?.last, now)
      if (yield* this.store.putSchedule({ name, revision: row?.revision ?? 0, row: next })) this.isPut = true
      return 0
    })
  }

  /** It is served after all. */
  private claim(row: ScheduleRow, body: Body, now: number): Effect.Effect<number, JobStoreError> {
    const { paused, unservedSince: _, ...rest } = body
    const served = paused?.reason === "Vanished" || paused === undefined ? rest : { ...rest, paused }
    const { name, nextAt, revision } = row
    const attendAt = attentionOf(served, this.mine!.plan, nextAt)
    return Effect.as(
      this.store.putSchedule({
        name,
        revision,
        // Where its ticks fail, it is looked at as long from now.
        row: { nextAt, attendAt: attendAt && Math.max(attendAt, now + unserved), body: encode(served) }
      }),
      0
    )
  }
}
