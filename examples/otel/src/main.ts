/**
 * The order pipeline with its traces and metrics: from the payment's HTTP request over the jobs that it enqueues, and the jobs that
 * those leave behind, down to the statements of the database.
 *
 * `OTLP_URL=http://localhost:4318 ORDERS_URL=postgres://… node examples/otel/src/main.ts`; any OpenTelemetry collector takes it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Otlp from "effect/observability/Otlp"
import { shop } from "../../order-pipeline/src/main.ts"

/** What has been recorded is sent every few seconds, and once more when the program ends. */
const TelemetryLive = Otlp.layerJson({
  baseUrl: process.env["OTLP_URL"] ?? "http://localhost:4318",
  resource: { serviceName: "shop", serviceVersion: "1.0.0" }
}).pipe(Layer.provide(FetchHttpClient.layer))

NodeRuntime.runMain(Effect.provide(shop, TelemetryLive))
