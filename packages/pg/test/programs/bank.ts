/** A process that runs transfers until it is killed: `node bank.ts <store> <bank> <"work" | "stop between">`. */
import { Effect, Layer } from "effect"
import * as Bank from "../bank.ts"
import * as Server from "../server.ts"

const [store = "", bank = "", mode = ""] = process.argv.slice(2)

/** Says that it is in the middle of a transfer, and stays there. */
const stop = Effect.andThen(Effect.sync(() => console.log("between")), Effect.never)

const pause = mode === "stop between" ? stop : Effect.void

await Effect.runPromise(Layer.launch(
  Bank.worker(bank, pause, { concurrency: 10, lease: "1 second", pollInterval: "50 millis" }).pipe(
    Layer.provide(Server.store(store))
  )
))
