/**
 * Channels: where an alert goes. A channel that is away is tried again, with what it says of when; one that refuses is
 * wrongly set up, and its message is dead.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Alert as AlertSchema } from "./internal/alert.ts"
import { cut, cutKey } from "./internal/text.ts"

/**
 * What is told: `key` is the same for every message about the same thing.
 *
 * @category models
 * @since 0.1.0
 */
export type Alert = typeof AlertSchema.Type

/**
 * The channel is away: the message is sent again, later and later.
 *
 * @category errors
 * @since 0.1.0
 */
export class ChannelAway extends Schema.TaggedError<ChannelAway>()("ChannelAway", {
  message: Schema.String
}) {}

/**
 * The channel asks to wait: the message is sent again then, and no attempt is charged.
 *
 * @category errors
 * @since 0.1.0
 */
export class ChannelBusy extends Schema.TaggedError<ChannelBusy>()("ChannelBusy", {
  message: Schema.String,
  /** In milliseconds. */
  retryAfter: Schema.Number
}) {}

/**
 * The channel does not take it: a wrong address, token or form. Sending it again would not help.
 *
 * @category errors
 * @since 0.1.0
 */
export class ChannelRefused extends Schema.TaggedError<ChannelRefused>()("ChannelRefused", {
  message: Schema.String
}) {}

/**
 * How a channel does not take a message.
 *
 * @category errors
 * @since 0.1.0
 */
export type ChannelError = ChannelAway | ChannelBusy | ChannelRefused

/**
 * Where alerts go. `send` is an attempt of a job: it may run twice for one alert, so a channel with a key of its own should
 * give it `alert.key`.
 *
 * @category models
 * @since 0.1.0
 */
export interface AlertChannel {
  /**
   * Tells of one alert. `ChannelBusy` is tried again when it says, `ChannelAway` by the schedule of the job,
   * `ChannelRefused` never. One that has not ended after thirty seconds is interrupted and tried again as one that is away; three
   * run at a time, over all processes.
   */
  readonly send: (alert: Alert) => Effect.Effect<void, ChannelError, HttpClient.HttpClient>
}

/** Longer than that and the channel is away. */
const patience = Duration.seconds(10)

/** The longest wait that a channel may ask for. */
const longest = 3_600_000

/** What an answer means. Its address may hold a token, so no error repeats it. */
const judge = (
  name: string,
  { headers, status }: HttpClientResponse.HttpClientResponse
): Effect.Effect<void, ChannelError> => {
  if (status >= 200 && status < 300) return Effect.void
  const message = `${name} answered ${status}`
  const seconds = Number(headers["retry-after"])
  if ((status === 429 || status === 503) && seconds > 0) {
    return Effect.fail(new ChannelBusy({ message, retryAfter: Math.min(longest, seconds * 1000) }))
  }
  return status === 408 || status === 429 || status >= 500
    ? Effect.fail(new ChannelAway({ message }))
    : Effect.fail(new ChannelRefused({ message }))
}

/** After a redirect the body would be gone, the answer that of another page, and a header that authorises elsewhere. */
const unredirected = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Effect.serviceOption(FetchHttpClient.RequestInit),
    (init) =>
      Effect.provideService(effect, FetchHttpClient.RequestInit, { ...Option.getOrUndefined(init), redirect: "manual" })
  )

/** A span of the request would carry the address to whoever reads traces; the attempt has a span of its own. */
const untraced = Effect.provideService(HttpClient.TracerDisabledWhen, () => true)

const post = (
  name: string,
  url: string | Redacted.Redacted,
  body: unknown,
  headers: Readonly<Record<string, string>> = {}
): Effect.Effect<void, ChannelError, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    const request = HttpClientRequest.post(Redacted.isRedacted(url) ? Redacted.value(url) : url).pipe(
      HttpClientRequest.setHeaders(headers),
      HttpClientRequest.bodyJsonUnsafe(body)
    )
    const response = yield* client.execute(request).pipe(
      unredirected,
      untraced,
      Effect.timeout(patience),
      Effect.mapError(() => new ChannelAway({ message: `${name} is not reached, or does not answer` }))
    )
    return yield* judge(name, response)
  })

const signs = { critical: "🔴", warning: "🟡" } as const

/** One text for who shows no fields: what it is, since when, and details. */
export const textOf = ({ detail, severity, since, state, title }: Alert): string =>
  [
    `${state === "firing" ? signs[severity] : "🟢"} ${state === "firing" ? "" : "resolved: "}${title}`,
    `since ${new Date(since).toISOString()}`,
    detail
  ].filter((line) => line !== "").join("\n")

/** What comes from outside must not be read as Slack's markup. */
const slackText = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

/**
 * A Slack incoming webhook.
 *
 * @category constructors
 * @since 0.1.0
 */
export const slack = (options: {
  /** The address that Slack shows for the webhook. Who has it may post. */
  readonly url: Redacted.Redacted
}): AlertChannel => ({
  send: (alert) => post("Slack", options.url, { text: slackText(cut(textOf(alert), 8000)) })
})

/**
 * A message of a Telegram bot.
 *
 * @category constructors
 * @since 0.1.0
 */
export const telegram = (options: {
  /** The token of the bot, as BotFather shows it. */
  readonly token: Redacted.Redacted
  /** The chat that the bot writes to: a number, or `@` and the name of a channel. */
  readonly chatId: string
  /**
   * The server of the Bot API, without a slash at its end.
   *
   * @default "https://api.telegram.org"
   */
  readonly api?: string | undefined
}): AlertChannel => ({
  send: (alert) =>
    post(
      "Telegram",
      Redacted.make(`${options.api ?? "https://api.telegram.org"}/bot${Redacted.value(options.token)}/sendMessage`),
      { chat_id: options.chatId, text: cut(textOf(alert), 4096) }
    )
})

/**
 * PagerDuty's Events API v2: an incident that is opened once by `key`, and resolved with the alert.
 *
 * @category constructors
 * @since 0.1.0
 */
export const pagerDuty = (options: {
  /** The integration key of the service, for its Events API v2. */
  readonly routingKey: Redacted.Redacted
  /**
   * What it is told about, such as `"shop, production"`.
   *
   * @default "capstan"
   */
  readonly source?: string | undefined
  /**
   * The server of the Events API, without a slash at its end.
   *
   * @default "https://events.pagerduty.com"
   */
  readonly api?: string | undefined
}): AlertChannel => ({
  send: (alert) =>
    post("PagerDuty", `${options.api ?? "https://events.pagerduty.com"}/v2/enqueue`, {
      routing_key: Redacted.value(options.routingKey),
      event_action: alert.state === "firing" ? "trigger" : "resolve",
      dedup_key: cutKey(alert.key, 255),
      payload: {
        summary: cut(alert.title, 1024),
        source: options.source ?? "capstan",
        severity: alert.severity,
        timestamp: new Date(alert.at).toISOString(),
        custom_details: { detail: cut(alert.detail, 100_000) }
      }
    })
})

/**
 * The alert as JSON, to an address of yours.
 *
 * @category constructors
 * @since 0.1.0
 */
export const webhook = (options: {
  /** Where the alert is posted. Give one that holds a secret as `Redacted`. */
  readonly url: string | Redacted.Redacted
  /**
   * Such as one that authorises.
   *
   * @default none
   */
  readonly headers?: Readonly<Record<string, Redacted.Redacted>> | undefined
}): AlertChannel => ({
  send: (alert) =>
    post(
      "the webhook",
      options.url,
      alert,
      Object.fromEntries(Object.entries(options.headers ?? {}).map(([name, value]) => [name, Redacted.value(value)]))
    )
})

/**
 * A mail, by whatever sends yours: no mail server is spoken to from here.
 *
 * @category constructors
 * @since 0.1.0
 */
export const mail = (
  send: (mail: { readonly subject: string; readonly text: string }) => Effect.Effect<void, ChannelError>
): AlertChannel => ({
  send: (alert) =>
    send({
      // A line break in a subject would be a header.
      subject: `${alert.state === "firing" ? `[${alert.severity}] ` : "[resolved] "}${alert.title}`.replaceAll(
        /\s+/g,
        " "
      ),
      text: textOf(alert)
    })
})

/**
 * The log of the process that sends it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const log: AlertChannel = {
  send: (alert) =>
    (alert.state === "resolved" ? Effect.logInfo : alert.severity === "critical" ? Effect.logError : Effect.logWarning)(
      textOf(alert)
    )
}
