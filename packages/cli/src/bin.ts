#!/usr/bin/env node
/**
 * The program `capstan`.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Command } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { make } from "./Cli.ts"

/**
 * What is logged is not what was asked for: it goes to the error output, and what a store warns about when it is opened is
 * said by `check` alone, unless `--log-level` asks for it.
 */
const logging = Layer.merge(
  Logger.layer([Logger.withConsoleError(Logger.formatSimple)]),
  Layer.succeed(References.MinimumLogLevel, "Error")
)

make().pipe(
  Command.run({ version: "0.1.0" }),
  Effect.provide(Layer.merge(NodeServices.layer, logging)),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
