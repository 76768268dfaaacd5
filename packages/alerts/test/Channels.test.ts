/** What goes to each channel, to a server of the test's that speaks as they do. */
import { AlertChannel } from "@capstan/alerts"
import { Effect, Redacted, Tracer } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import { once } from "node:events"
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, assert, beforeAll, beforeEach, describe, it } from "vitest"

const firing: AlertChannel.Alert = {
  key: "dead/SendMail",
  state: "firing",
  severity: "critical",
  title: "SendMail: 2 records died <!channel>",
  detail: "1: Failed\n2: Failed",
  since: Date.parse("2026-11-26T08:00:00Z"),
  at: Date.parse("2026-11-26T08:00:30Z")
}

let answer: { readonly status: number; readonly headers?: Record<string, string> } = { status: 200 }
/** What the channels refuse by themselves: https://core.telegram.org/bots/api#sendmessage, and PagerDuty's Events API v2. */
const refuses = (path: string, body: any): boolean =>
  path.endsWith("/sendMessage")
    ? body.text.length > 4096 || !body.text.isWellFormed()
    : path === "/v2/enqueue"
    ? body.dedup_key.length > 255 || body.payload.summary.length > 1024 || JSON.stringify(body).length > 512 * 1024
    : path.startsWith("/services/") && body.text.length > 40_000

const paths: Array<string> = []
let received: { readonly path: string; readonly headers: IncomingMessage["headers"]; readonly body: any } | undefined

const server = createServer((request, response) => {
  let text = ""
  request.setEncoding("utf8").on("data", (part: string) => text += part).on("end", () => {
    paths.push(request.url!)
    received = { path: request.url!, headers: request.headers, body: text === "" ? {} : JSON.parse(text) }
    response.writeHead(refuses(request.url!, received.body) ? 400 : answer.status, answer.headers).end()
  })
})
let api = ""
beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening")
  api = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => void server.close())
beforeEach(() => {
  answer = { status: 200 }
  received = undefined
  paths.length = 0
})

const send = (channel: AlertChannel.AlertChannel, alert = firing) =>
  channel.send(alert).pipe(Effect.provide(FetchHttpClient.layer))

const told = async (channel: AlertChannel.AlertChannel, alert = firing) => {
  await Effect.runPromise(send(channel, alert))
  return received!
}

describe("channels", () => {
  it("Slack gets a text whose parts from outside are no markup", async () => {
    const { body, path } = await told(AlertChannel.slack({ url: Redacted.make(`${api}/services/T/B/s3cret`) }))
    assert.strictEqual(path, "/services/T/B/s3cret")
    assert.deepStrictEqual(body, {
      text: "🔴 SendMail: 2 records died &lt;!channel&gt;\nsince 2026-11-26T08:00:00.000Z\n1: Failed\n2: Failed"
    })
  })

  it("Telegram gets a message for the chat", async () => {
    const { body, path } = await told(
      AlertChannel.telegram({ token: Redacted.make("7:s3cret"), chatId: "-100", api }),
      { ...firing, state: "resolved" }
    )
    assert.strictEqual(path, "/bot7:s3cret/sendMessage")
    assert.strictEqual(body.chat_id, "-100")
    assert.match(body.text, /^🟢 resolved: SendMail/)
  })

  it("PagerDuty opens one incident by key, and resolves it", async () => {
    const channel = AlertChannel.pagerDuty({ routingKey: Redacted.make("r0uting"), source: "shop", api })
    const { body, path } = await told(channel)
    assert.strictEqual(path, "/v2/enqueue")
    assert.deepInclude(body, { routing_key: "r0uting", event_action: "trigger", dedup_key: "dead/SendMail" })
    assert.deepInclude(body.payload, { source: "shop", severity: "critical", timestamp: "2026-11-26T08:00:30.000Z" })
    assert.deepInclude((await told(channel, { ...firing, state: "resolved" })).body, {
      event_action: "resolve",
      dedup_key: "dead/SendMail"
    })
  })

  it("a webhook gets the alert, with headers that authorise", async () => {
    const { body, headers } = await told(
      AlertChannel.webhook({ url: `${api}/alerts`, headers: { authorization: Redacted.make("Bearer s3cret") } })
    )
    assert.deepStrictEqual(body, firing)
    assert.strictEqual(headers.authorization, "Bearer s3cret")
  })

  it.each(
    [
      ["Slack", () => AlertChannel.slack({ url: Redacted.make(`${api}/services/T/B/s3cret`) })],
      ["Telegram", () => AlertChannel.telegram({ token: Redacted.make("7:s3cret"), chatId: "-100", api })],
      ["PagerDuty", () => AlertChannel.pagerDuty({ routingKey: Redacted.make("r0uting"), api })]
    ] as const
  )("%s is told of what is longer than it takes", async (_, channel) => {
    const long = { ...firing, key: `own/${"k".repeat(600)}`, title: "🔴".repeat(700), detail: "<🔴".repeat(300_000) }
    await told(channel(), long)
    await told(channel(), { ...long, title: `a${long.title}` })
  })

  it.each(
    [
      ["Slack", () => AlertChannel.slack({ url: Redacted.make(`${api}/services/T/B/s3cret`) })],
      ["Telegram", () => AlertChannel.telegram({ token: Redacted.make("7:s3cret"), chatId: "-100", api })],
      ["a webhook", () => AlertChannel.webhook({ url: Redacted.make(`${api}/hooks/s3cret`) })]
    ] as const
  )("%s does not show its address to who reads traces", async (_, channel) => {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    await Effect.runPromise(
      send(channel()).pipe(Effect.withSpan("attempt"), Effect.provideService(Tracer.Tracer, tracer))
    )
    assert.include(paths[0], "s3cret")
    const seen = spans.flatMap(({ attributes, name }) => [name, ...attributes.values()])
    assert.include(seen, "attempt")
    assert.notInclude(seen.join(" "), "s3cret")
  })

  it("PagerDuty keeps incidents apart whose keys are longer than it takes", async () => {
    const channel = AlertChannel.pagerDuty({ routingKey: Redacted.make("r0uting"), api })
    const keyOf = async (end: string, state: "firing" | "resolved" = "firing") =>
      (await told(channel, { ...firing, state, key: `own/${"k".repeat(600)}/${end}` })).body.dedup_key
    assert.notStrictEqual(await keyOf("a"), await keyOf("b"))
    assert.strictEqual(await keyOf("a"), await keyOf("a", "resolved"))
  })

  it("a mail has one line for a subject", async () => {
    let sent: { readonly subject: string; readonly text: string } | undefined
    const channel = AlertChannel.mail((mail) => Effect.sync(() => void (sent = mail)))
    await Effect.runPromise(send(channel, { ...firing, title: "a\r\nBcc: everybody" }))
    assert.strictEqual(sent!.subject, "[critical] a Bcc: everybody")
  })

  it.each([
    [500, {}, "ChannelAway"],
    [408, {}, "ChannelAway"],
    [429, {}, "ChannelAway"],
    [429, { "retry-after": "7" }, "ChannelBusy"],
    [503, { "retry-after": "7" }, "ChannelBusy"],
    [401, {}, "ChannelRefused"],
    [404, { "retry-after": "7" }, "ChannelRefused"]
  ])("an answer of %i with %j is %s, and tells no secret", async (status, headers, expected) => {
    answer = { status, headers }
    const error = await Effect.runPromise(
      Effect.flip(send(AlertChannel.slack({ url: Redacted.make(`${api}/s3cret`) })))
    )
    assert.strictEqual(error._tag, expected)
    if (error._tag === "ChannelBusy") assert.strictEqual(error.retryAfter, 7000)
    assert.notInclude(JSON.stringify(error), "s3cret")
  })

  it.each([301, 302, 307, 308])("an answer of %i is refused, and nobody is told elsewhere", async (status) => {
    answer = { status, headers: { location: `${api}/login` } }
    const channel = AlertChannel.webhook({ url: `${api}/alerts`, headers: { "x-api-key": Redacted.make("s3cret") } })
    const error = await Effect.runPromise(Effect.flip(send(channel)))
    assert.strictEqual(error._tag, "ChannelRefused")
    assert.deepStrictEqual(paths, ["/alerts"])
  })

  it("a channel that nobody answers at is away", async () => {
    const error = await Effect.runPromise(
      Effect.flip(send(AlertChannel.slack({ url: Redacted.make("http://127.0.0.1:1/s3cret") })))
    )
    assert.strictEqual(error._tag, "ChannelAway")
    assert.notInclude(JSON.stringify(error), "s3cret")
  })
})
