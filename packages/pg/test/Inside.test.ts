/** A search inside of payloads, by the pages of the store on Postgres. */
import { it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import { pagesInside } from "../../testing/src/internal/inside.ts"
import * as Harness from "./harness.ts"

const schema = Harness.schemaName("inside")
const side = Harness.shared(schema, Harness.open(schema))

it.live(
  "has each record once",
  () => Effect.flatMap(side, ({ store }) => Effect.provideService(pagesInside, JobStore.JobStore, store)),
  60_000
)
