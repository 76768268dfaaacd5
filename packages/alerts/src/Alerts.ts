/**
 * Alerts: rules that are looked at by one process at a time, and told by jobs.
 *
 * Guarantees: however many processes run this layer, a schedule of the store ticks once, so one of them looks. What stands is
 * told once, again only after `repeatEvery`, and its end is told too. A message is a record: a channel that is away delays its
 * own messages and nobody else's, a process that dies between looking and telling tells after all, and of one thing the end
 * is never told before the beginning.
 *
 * @since 0.1.0
 */
import { Job, JobContext, JobGroup, Jobs, JobSchedule, JobSchedules, type JobStore, JobWorker, Step } from "capstan"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type AlertChannel, ChannelAway, ChannelBusy, ChannelRefused } from "./AlertChannel.ts"
import { type AlertRule, usual } from "./AlertRule.ts"
import { Alert, Finding } from "./internal/alert.ts"
import { inBounds, memoryOf, Snapshot, take } from "./internal/snapshot.ts"
import { cut, cutKey } from "./internal/text.ts"

/**
 * Options of the alerts.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Where alerts go, each by a name of yours. */
  readonly channels: Readonly<Record<string, AlertChannel>>
  /**
   * What is looked for.
   *
   * @default AlertRule.usual
   */
  readonly rules?: ReadonlyArray<AlertRule> | undefined
  /**
   * How often rules are looked at.
   *
   * @default "30 seconds"
   */
  readonly every?: Duration.Input | undefined
  /**
   * What still stands is told again after that.
   *
   * @default "4 hours"
   */
  readonly repeatEvery?: Duration.Input | undefined
  /**
   * The queue of the looks and messages. Two programs that share a store and have rules of their own name two.
   *
   * @default "capstan.alerts"
   */
  readonly queue?: string | undefined
}

/** Something that stands, since when, and when it was told last. */
const Standing = Schema.Struct({ finding: Finding, since: Schema.Number, toldAt: Schema.optionalKey(Schema.Number) })

type Standing = typeof Standing.Type

type Finding = typeof Finding.Type

/** What one look leaves for the next: the record of the look is the memory, so it survives every process. */
const Look = Schema.Struct({ snapshot: Snapshot, standing: Schema.Array(Standing) })

/** What a look has found, kept before anything of it is told. */
const Judged = Schema.Struct({
  look: Look,
  told: Schema.Array(Alert),
  /** The look before, or this one where there is none: a look that died after it has told is followed by one with the same. */
  after: Schema.String
})

/** Its message about one thing to one channel. */
const Message = { channel: Schema.String, alert: Alert }

/** Of what is named by an application, what fits into a key of the store. */
const subject = (channel: string, { key }: typeof Alert.Type): string => `${cutKey(channel, 100)}/${cutKey(key, 255)}`

const jobsOf = (queue: string) => ({
  look: Job.make(`${queue}.look`, {
    queue,
    success: Look,
    priority: "high",
    // The next look is near: this one need not be tried for long, and an old one says nothing.
    maxAttempts: 3,
    startBefore: "10 minutes",
    retention: { completed: { count: 3 }, dead: { count: 10 } }
  }),
  tell: Job.make(`${queue}.tell`, {
    queue,
    payload: Message,
    error: Schema.Union([ChannelAway, ChannelBusy, ChannelRefused]),
    // An end must not overtake its beginning: of one thing to one channel a message waits until the one that has begun ends, and
    // of those that wait, the first included, the last is told.
    unique: { key: ({ alert, channel }) => subject(channel, alert), onConflict: "replace" },
    maxAttempts: Infinity,
    retryFor: "12 hours",
    onError: {
      ChannelRefused: "dead",
      ChannelBusy: { snooze: ({ retryAfter }) => retryAfter }
    }
  })
})

/**
 * The alerts, with a worker for their own queue. Give it to every process, or to one.
 *
 * **Example**
 *
 * ```ts
 * const AlertsLive = Alerts.layer({
 *   channels: {
 *     oncall: AlertChannel.pagerDuty({ routingKey }),
 *     team: AlertChannel.slack({ url })
 *   },
 *   rules: [...AlertRule.usual, AlertRule.failureRate({ above: 0.2 })]
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<never, never, JobStore.JobStore | HttpClient.HttpClient> => {
  const { channels, every = "30 seconds", queue = "capstan.alerts", repeatEvery = "4 hours", rules = usual } = options
  const { look, tell } = jobsOf(queue)
  const repeatMillis = Duration.toMillis(Duration.fromInputUnsafe(repeatEvery))

  const handlers = Layer.mergeAll(
    look.toLayer(() =>
      Effect.gen(function*() {
        // A look that is tried again tells what it found at first. It would else contradict what it has told, and forget it.
        const { after, look: found, told } = yield* Step.run(
          "judge",
          { success: Judged },
          Effect.gen(function*() {
            const { id } = yield* JobContext.JobContext
            const before = yield* lastLook(look._tag)
            const snapshot = yield* take
            const { standing, told } = judge({ rules, snapshot, before, repeatMillis, ignored: queue })
            return { look: { snapshot: memoryOf(snapshot), standing }, told, after: String(before?.snapshot.at ?? id) }
          })
        )
        for (const alert of told) {
          for (const channel of Object.keys(channels)) {
            yield* tell.enqueue({ channel, alert }, {
              idempotencyKey: `${subject(channel, alert)}/${alert.state}/${alert.severity}/${after}`
            })
          }
        }
        return found
      })
    ),
    tell.toLayer(({ alert, channel }) => {
      const found = channels[channel]
      return found === undefined
        ? Effect.fail(new ChannelRefused({ message: `no channel is named ${channel} any more` }))
        : found.send(alert)
    })
  )
  const working = Layer.mergeAll(
    JobWorker.layer(JobGroup.make(look, tell), { concurrency: 10 }),
    JobSchedule.layer(look, { every, overlap: "skip", missed: "runOnce" })
  ).pipe(Layer.provide(handlers), Layer.provide(Layer.mergeAll(Jobs.layer, JobSchedules.layer)))
  // Built, and not handed out: the application's own `JobWorker` is another one.
  return Layer.effectDiscard(Layer.build(working))
}

type Look = typeof Look.Type

/** The newest look that came to its end; one that an older release wrote, and that no longer decodes, is as none. */
const lastLook = (tag: string) =>
  Effect.gen(function*() {
    const newest = (yield* Jobs.Jobs).stream({ tag, states: ["completed"], limit: 1 })
    const result = Option.getOrUndefined(yield* Stream.runHead(newest).pipe(inBounds))?.result
    if (result === undefined) return undefined
    const decoded = yield* Effect.option(Schema.decodeUnknownEffect(Schema.fromJsonString(Look))(result))
    return Option.getOrUndefined(decoded)
  })

/** A rule may say anything; a message and the result of a look have bounds, and what is refused is told to nobody. */
const fitting = (finding: Finding): Finding => ({
  ...finding,
  title: cut(finding.title, 1024),
  detail: cut(finding.detail, 8000)
})

const urgency = { warning: 0, critical: 1 } as const

const moreUrgent = (a: Finding, b: Finding): Finding => urgency[b.severity] > urgency[a.severity] ? b : a

/**
 * What stands now, and what of it is to be told. Rules may find the same: it stands once, is due when the first of them has waited long
 * enough, and is told once more where another of them finds it more urgent.
 */
export const judge = ({ before, ignored, repeatMillis, rules, snapshot }: {
  readonly rules: ReadonlyArray<AlertRule>
  readonly snapshot: Snapshot
  readonly before: Look | undefined
  readonly repeatMillis: number
  /** The queue of the alerts themselves: what cannot be told cannot be told of, and would only make more. */
  readonly ignored: string
}): { readonly standing: ReadonlyArray<Standing>; readonly told: ReadonlyArray<typeof Alert.Type> } => {
  const others = <A extends { readonly queue: string }>(list: ReadonlyArray<A>) =>
    list.filter(({ queue }) => queue !== ignored)
  const seen = { ...snapshot, queues: others(snapshot.queues), dead: others(snapshot.dead) }
  const stood = new Map((before?.standing ?? []).map((standing) => [standing.finding.key, standing]))
  const found = new Map<string, Array<{ readonly finding: Finding; readonly forMillis: number }>>()
  for (const { forMillis, look } of rules) {
    for (const finding of look(seen, before?.snapshot).map(fitting)) {
      const same = found.get(finding.key)
      if (same === undefined) found.set(finding.key, [{ finding, forMillis }])
      else same.push({ finding, forMillis })
    }
  }
  const told: Array<typeof Alert.Type> = []
  const say = (state: "firing" | "resolved", { finding, since }: Standing) =>
    void told.push({ ...finding, state, since, at: snapshot.at })

  const standing = [...found].map(([key, findings]): Standing => {
    const earlier = stood.get(key)
    const since = earlier?.since ?? snapshot.at
    const ripe = findings.filter(({ forMillis }) => snapshot.at - since >= forMillis).map(({ finding }) => finding)
    const finding = ripe.length === 0 ? findings[0]!.finding : ripe.reduce(moreUrgent)
    const now: Standing = { ...earlier, finding, since }
    const isDue = earlier?.toldAt === undefined
      ? ripe.length > 0
      : snapshot.at - earlier.toldAt >= repeatMillis || moreUrgent(earlier.finding, finding) !== earlier.finding
    if (!isDue) return now
    say("firing", now)
    return { ...now, toldAt: snapshot.at }
  })
  for (const [key, over] of stood) if (!found.has(key) && over.toldAt !== undefined) say("resolved", over)
  return { standing, told }
}
