/** The verbs of limits, over the functions of the schema. They take no part in a transaction of the caller's. */
import type { JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type { Client } from "./client.ts"
import { given, held, isHeld } from "./codec.ts"

/** A limit as it is read. */
interface LimitColumns {
  readonly name: string
  readonly release: number
  readonly proposed: string
  readonly override: string | null
}

const toLimit = ({ name, override, proposed, release }: LimitColumns): JobStore.LimitRow => ({
  name,
  release,
  proposed: JSON.parse(proposed),
  override: override === null ? undefined : JSON.parse(override)
})

interface KeyColumns extends Omit<JobStore.KeyRow, "limitedUntil"> {
  readonly until: number | null
}

const toKey = ({ failed, key, ready, running, until, waiting }: KeyColumns): JobStore.KeyRow => ({
  key: given(key),
  waiting,
  ready,
  running,
  limitedUntil: until ?? undefined,
  failed
})

export const verbs = ({ call, schema: s }: Client): Pick<JobStore.Shape, "limits" | "keys"> => ({
  limits: (changes) =>
    Effect.gen(function*() {
      for (const change of changes) {
        yield* call("limits", `SELECT ${s}.change_limit($1::text::json)`, [JSON.stringify(change)])
      }
      const rows = yield* call<LimitColumns>(
        "limits",
        `SELECT name, release::float8 AS release, proposed::text AS proposed, override::text AS override
         FROM ${s}.limits WHERE release >= 0 OR override IS NOT NULL ORDER BY name`,
        []
      )
      return rows.map(toLimit)
    }),

  keys: ({ after = "", limit, name }) =>
    !isHeld(name) ? Effect.succeed([]) : Effect.map(
      call<KeyColumns>("keys", `SELECT * FROM ${s}.limit_keys($1, $2, $3)`, [name, held(after), limit]),
      (rows) => rows.map(toKey)
    )
})
