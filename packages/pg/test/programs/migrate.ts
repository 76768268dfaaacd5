/** A process that starts on a schema that may not be there yet: `node migrate.ts <schema>`. */
import { JobStore } from "capstan"
import { Effect } from "effect"
import * as Server from "../server.ts"

const [schema = ""] = process.argv.slice(2)

await JobStore.JobStore.pipe(
  Effect.flatMap(({ describe }) => describe),
  Effect.andThen(Effect.sync(() => console.log("started"))),
  Effect.provide(Server.store(schema)),
  Effect.runPromise
)
