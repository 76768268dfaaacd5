/**
 * The commands of `capstan`, to run as they are or to embed with an application's own store.
 *
 * Everything goes through `Jobs`, `JobSchedules` and the store's `describe`; what a job marks as sensitive is masked. No
 * command but `migrate up` changes a schema, and what changes records says how many and asks first.
 *
 * @since 0.1.0
 */
import { Command } from "effect/cli"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { actions, queues } from "./internal/act.ts"
import { check } from "./internal/check.ts"
import { type Given, root, sessionOf } from "./internal/connection.ts"
import { dashboard } from "./internal/dashboard.ts"
import { enqueue } from "./internal/enqueue.ts"
import { limits } from "./internal/limits.ts"
import { tail, top } from "./internal/live.ts"
import { exported, inspect, list, stats, workers } from "./internal/look.ts"
import { migrate } from "./internal/migrate.ts"
import { repair } from "./internal/repair.ts"
import { replay } from "./internal/replay.ts"
import { schedules } from "./internal/schedules.ts"

/**
 * Options of the commands.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * The store that they work on, such as one over a cluster client or with partitions.
   *
   * @default the one that `--store` or `CAPSTAN_STORE` names
   */
  readonly store?: Given | undefined
}

/**
 * The command `capstan` with all its subcommands, for `Command.run`.
 *
 * **Example** (With a store of your own)
 *
 * ```ts
 * import { Cli } from "@capstan/cli"
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import * as NodeServices from "@effect/platform-node/NodeServices"
 * import { JobStore } from "capstan"
 * import { Effect, Layer } from "effect"
 * import { Command } from "effect/cli"
 *
 * Cli.make({ store: JobStore.layerMemory() }).pipe(
 *   Command.run({ version: "1.0.0" }),
 *   Effect.provide(Layer.merge(NodeServices.layer, Cli.layerLogging)),
 *   NodeRuntime.runMain({ disableErrorReporting: true })
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}) => {
  const session = sessionOf(options)
  return root.pipe(
    Command.withDescription("Look at jobs and act on them, migrate and check their store"),
    Command.withSubcommands([
      stats(session),
      workers(session),
      list(session),
      inspect(session),
      tail(session),
      top(session),
      dashboard(session),
      ...actions(session),
      ...queues(session),
      enqueue(session),
      replay(session),
      exported(session),
      schedules(session),
      limits(session),
      check(session),
      repair(session),
      migrate
    ])
  )
}

/**
 * What is logged is not what was asked for: it goes to the error output, and what a store warns about when it is opened is
 * said by `check` alone, unless `--log-level` asks for it.
 *
 * **When to use**
 *
 * Beside the services of the platform, in a program that runs `make`. Without it a store's warnings stand before the records, in what
 * another program reads.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerLogging: Layer.Layer<never> = Layer.merge(
  Logger.layer([Logger.withConsoleError(Logger.formatSimple)]),
  Layer.succeed(References.MinimumLogLevel, "Error")
)
