/**
 * Three payouts: one is approved, one is refused, and about one nobody decides. Two of them end as if nothing had been done.
 */
import { WaitpointUrl } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { JobStore } from "capstan"
import { Console, Effect, Layer, Redacted, Schedule, Schema } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpClientResponse, HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { Bank } from "./bank.ts"
import { Decision, Payout } from "./jobs.ts"
import { workerLive } from "./worker.ts"

// Yours comes from the configuration of every process that signs or checks.
const secret = Redacted.make("an example's secret is no secret at all")

const Answer = Schema.Struct({ outcome: Schema.optional(Schema.String), reason: Schema.optional(Schema.String) })

/** What the page behind the link sends, once somebody has decided. */
const follow = (link: string, isApproved: boolean) =>
  HttpClientRequest.post(link).pipe(
    HttpClientRequest.bodyJsonUnsafe({ isApproved, by: "ada" }),
    HttpClient.execute,
    Effect.flatMap(HttpClientResponse.schemaBodyJson(Answer)),
    Effect.map(({ outcome, reason }) => outcome ?? reason)
  )

const mailAbout = (payee: string) =>
  Effect.flatMap(Bank, ({ inbox }) =>
    Effect.suspend(() => {
      const link = inbox(payee)
      return link === undefined ? Effect.fail("not yet") : Effect.succeed(link)
    })).pipe(Effect.retry(Schedule.spaced("10 millis")))

const outcome = (payee: string, id: string) =>
  Payout.handle(id).await.pipe(
    Effect.map(({ approvedBy, transfer }) => `${payee}: ${transfer}, approved by ${approvedBy}`),
    Effect.catch((error) => Effect.succeed(`${payee}: ${error.message}`)),
    Effect.flatMap(Console.log)
  )

const program = Effect.gen(function*() {
  const bob = yield* Payout.enqueue({ payee: "bob", cents: 500 })
  const link = yield* mailAbout("bob")
  yield* Console.log(`a forged link: ${yield* follow(`${link.slice(0, -4)}AAAA`, true)}`)
  yield* Console.log(`the link: ${yield* follow(link, true)}`)
  yield* outcome("bob", bob.id)

  const eve = yield* Payout.enqueue({ payee: "eve", cents: 900_000 })
  yield* follow(yield* mailAbout("eve"), false)
  yield* outcome("eve", eve.id)

  const zoe = yield* Payout.enqueue({ payee: "zoe", cents: 100 })
  yield* outcome("zoe", zoe.id)

  for (const line of (yield* Bank).ledger) yield* Console.log(`bank: ${line}`)
})

const Work = Layer.unwrap(Effect.map(HttpServer.HttpServer, ({ address }) =>
  workerLive({
    secret,
    patience: "3 seconds",
    linkOf: WaitpointUrl.at(`${HttpServer.formatAddress(address)}/decisions`)
  })))

const Server = HttpRouter.serve(WaitpointUrl.layer(Decision, { path: "/decisions", secret }), {
  disableListenLog: true,
  disableLogger: true
})

const Live = Layer.merge(Work, Server).pipe(
  Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
  Layer.provideMerge(Layer.mergeAll(Bank.layer, FetchHttpClient.layer, JobStore.layerMemory()))
)

NodeRuntime.runMain(Effect.provide(program, Live))
