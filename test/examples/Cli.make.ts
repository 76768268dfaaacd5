// Written by `npm run docs`: the example of `make` of @capstan/cli/Cli.
import { Cli } from "@capstan/cli"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { JobStore } from "capstan"
import { Effect, Layer } from "effect"
import { Command } from "effect/cli"

export const run = () => {
  Cli.make({ store: JobStore.layerMemory() }).pipe(
    Command.run({ version: "1.0.0" }),
    Effect.provide(Layer.merge(NodeServices.layer, Cli.layerLogging)),
    NodeRuntime.runMain({ disableErrorReporting: true })
  )
}
