/** `check`: whether a store is as production wants it, read from the store and from how it answers. */
import { Jobs, JobStore } from "capstan"
import { Command } from "effect/cli"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import type { Session } from "./connection.ts"
import { failed } from "./failure.ts"
import { print } from "./print.ts"
import { counted, duration, plain } from "./text.ts"
import { skewsOf, skewText } from "./view.ts"

type Finding = JobStore.Finding

const finding = (what: string, is: Finding["is"], detail: string): Finding => ({ what, is, detail })

/** More than that and instants that people compare are misleading; leases do not mind, the store's clock decides them. */
const skewAllowed = 1000

/** In how long a subscription should be open, on any network that a worker should use. */
const openIn = Duration.seconds(3)

const look = Effect.gen(function*() {
  const store = yield* JobStore.JobStore
  const jobs = yield* Jobs.Jobs
  const description = yield* store.describe
  const asked = yield* Clock.currentTimeMillis
  const stats = yield* jobs.stats
  const answered = yield* Clock.currentTimeMillis
  const skew = stats.now - (asked + answered) / 2
  const findings: Array<Finding> = [
    finding("store", "ok", `${description.kind}, schema version ${description.schemaVersion}`),
    finding("durability", "ok", `an acknowledged enqueue survives ${description.durability}`),
    ...(description.absent ?? []).map((line) => finding("not promised", "note", line)),
    finding("round trip", "ok", `${Math.round(answered - asked)} ms for the figures`),
    finding(
      "clock",
      Math.abs(skew) > skewAllowed ? "warning" : "ok",
      `the store's is ${duration(Math.abs(skew))} ${skew < 0 ? "behind" : "ahead of"} this machine's`
    )
  ]
  if (description.capabilities.includes("events")) {
    const heard = yield* Stream.runHead(jobs.events).pipe(Effect.timeoutOption(openIn))
    findings.push(
      Option.isSome(heard)
        ? finding("wake-ups", "ok", "a subscription opens")
        : finding("wake-ups", "warning", `no subscription opened within ${Duration.format(openIn)}: workers poll`)
    )
  } else {
    findings.push(finding("wake-ups", "note", "the store has none here: workers look at intervals"))
  }
  if (store.examine !== undefined) findings.push(...yield* store.examine)
  const gone = stats.workers.filter(({ leaseLeft }) => leaseLeft < 0)
  findings.push(
    gone.length > 0
      ? finding(
        "workers",
        "warning",
        `${counted(gone.length, "worker")} of ${stats.workers.length} let the lease run out`
      )
      : finding("workers", stats.workers.length === 0 ? "note" : "ok", counted(stats.workers.length, "worker"))
  )
  // Also while a release is brought out, which is no fault.
  for (const skew of skewsOf(stats.workers)) findings.push(finding("workers", "note", skewText(skew)))
  const served = new Set(stats.workers.flatMap(({ queues }) => queues))
  for (const { counts, parked, paused, queue } of stats.queues) {
    if (paused) findings.push(finding(`queue ${queue}`, "note", "is paused"))
    if (parked > 0) {
      findings.push(
        finding(`queue ${queue}`, "warning", `${counted(parked, "record")} without a handler: deploy the job's worker`)
      )
    }
    if (counts.ready > 0 && !paused && !served.has(queue)) {
      findings.push(finding(`queue ${queue}`, "warning", `${counted(counts.ready, "ready record")}, and no worker`))
    }
    if (counts.dead > 0) findings.push(finding(`queue ${queue}`, "note", `${counted(counts.dead, "dead record")}`))
  }
  return findings
})

/** What a store warns about when it is opened is a finding, not a line of a log. */
const warningsInto = (findings: Array<Finding>) =>
  Layer.merge(
    Logger.layer([
      Logger.make(({ message }) => {
        const text = Array.isArray(message) ? message.map(String).join(" ") : String(message)
        findings.push(finding("settings", "warning", text))
      })
    ]),
    Layer.succeed(References.MinimumLogLevel, "Warn")
  )

export const check = (session: Session) =>
  Command.make("check", {}, () =>
    Effect.gen(function*() {
      const warned: Array<Finding> = []
      const found = yield* Effect.provide(session(look), warningsInto(warned))
      const findings = [...found, ...warned]
      const signs = { ok: "ok  ", note: "note", warning: "WARN" }
      yield* print(
        findings,
        () => findings.map(({ detail, is, what }) => `${signs[is]}  ${plain(`${what}: ${detail}`)}`).join("\n")
      )
      const warnings = findings.filter(({ is }) => is === "warning").length
      if (warnings > 0) return yield* failed("Found", `${counted(warnings, "warning")}`)
    })).pipe(
      Command.withDescription(
        "Durability, settings, clock, wake-ups, indexes, workers, and what waits for nobody; exit code 4 with a warning"
      )
    )
