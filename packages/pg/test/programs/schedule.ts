/** A process that declares a schedule and serves another: `node schedule.ts <schema>`. Until it is killed. */
import { Effect, Layer } from "effect"
import { process as ticking } from "../../../../scripts/servers/ticking.ts"
import * as Server from "../server.ts"

const store = Server.store(process.argv[2]!, {}, { maxConnections: 3 })

await Effect.runPromise(Layer.launch(Layer.provide(ticking, store)))
