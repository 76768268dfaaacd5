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
import { layerLogging, make } from "./Cli.ts"

make().pipe(
  Command.run({ version: "0.1.0" }),
  Effect.provide(Layer.merge(NodeServices.layer, layerLogging)),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
