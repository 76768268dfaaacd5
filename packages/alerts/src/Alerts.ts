/**
 * Alerts: rules that are looked at by one process at a time, and told by jobs.
 *
 * Guarantees: however many processes run this layer, a schedule of the store ticks once, so one of them looks. What stands is
 * told once, again only after `repeatEvery`, and its end is told too. A message is a record: a channel that is away or hangs delays
 * its own messages and nobody else's, a process that dies between looking and telling tells after all, and of one thing the end
 * is never told before the beginning. A rule that throws is told of, and silences no other.
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
import { Alert } from "./internal/alert.ts"
import { find } from "./internal/findings.ts"
import { judge, Look } from "./internal/judge.ts"
import { inBounds, memoryOf, take, without } from "./internal/snapshot.ts"
import { cutKey } from "./internal/text.ts"

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
const place = (channel: string): string => cutKey(channel, 100)

/** One thing for one channel. It begins with the place, so that on a store of several partitions both keys of a message lie together. */
const subject = (channel: string, { key }: typeof Alert.Type): string => `${place(channel)}/${cutKey(key, 255)}`

/** So many messages go to one channel at a time, over all processes. */
const atOnce = 3

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
    // A channel that hangs has these slots and no others: what is not its own finds one of the worker's, which has more.
    concurrency: { key: ({ channel }) => place(channel), limit: atOnce },
    // Longer than the patience with an answer.
    timeout: "30 seconds",
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

  const looked = Effect.gen(function*() {
    const { id } = yield* JobContext.JobContext
    const before = yield* lastLook(look._tag)
    // What cannot be told cannot be told of, and would only make more.
    const snapshot = without(queue, yield* take)
    const findings = yield* find(rules, snapshot, before?.snapshot)
    const { standing, told } = judge({ findings, snapshot, before, repeatMillis })
    return { look: { snapshot: memoryOf(snapshot), standing }, told, after: String(before?.snapshot.at ?? id) }
  })
  const handlers = Layer.mergeAll(
    look.toLayer(() =>
      Effect.gen(function*() {
        // A look that is tried again tells what it found at first. It would else contradict what it has told, and forget it.
        const { after, look: found, told } = yield* Step.run("judge", { success: Judged }, looked)
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
    // A slot for all that may be told at a time, one for the look, and one for a message to a channel of another program.
    JobWorker.layer(JobGroup.make(look, tell), { concurrency: atOnce * Object.keys(channels).length + 2 }),
    JobSchedule.layer(look, { every, overlap: "skip", missed: "runOnce" })
  ).pipe(Layer.provide(handlers), Layer.provide(Layer.mergeAll(Jobs.layer, JobSchedules.layer)))
  // Built, and not handed out: the application's own `JobWorker` is another one.
  return Layer.effectDiscard(Layer.build(working))
}

/** The newest look that came to its end; one that an older release wrote, and that no longer decodes, is as none. */
const lastLook = (tag: string) =>
  Effect.gen(function*() {
    const newest = (yield* Jobs.Jobs).stream({ tag, states: ["completed"], limit: 1 })
    const result = Option.getOrUndefined(yield* Stream.runHead(newest).pipe(inBounds))?.result
    if (result === undefined) return undefined
    const decoded = yield* Effect.option(Schema.decodeUnknownEffect(Schema.fromJsonString(Look))(result))
    return Option.getOrUndefined(decoded)
  })
