/** The verbs of limits over their scripts. */
import type { JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type { Calls } from "./client.ts"
import * as Codec from "./codec.ts"
import * as Decode from "./decode.ts"

/** Names and texts by turns. A limit that nobody has proposed or set any more is none. */
const limitsOf = (pairs: ReadonlyArray<string>): ReadonlyArray<JobStore.LimitRow> => {
  const rows: Array<JobStore.LimitRow> = []
  for (let i = 0; i < pairs.length; i += 2) {
    const [release, proposed, override] = pairs[i + 1]!.split(Codec.field)
    if (release === "-1" && override === "") continue
    rows.push({
      name: pairs[i]!,
      release: Number(release),
      proposed: JSON.parse(proposed!),
      override: override === "" ? undefined : JSON.parse(override!)
    })
  }
  return rows.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

const keyOf = (line: string): JobStore.KeyRow => {
  const [key, waiting, ready, running, failed, until] = line.split(Codec.field)
  return {
    key: Codec.unclean(key!),
    waiting: Number(waiting),
    ready: Number(ready),
    running: Number(running),
    limitedUntil: Decode.optional(until!),
    failed: Number(failed)
  }
}

/** Kind, name, release and settings of a change. */
const argsOf = (change: JobStore.LimitChange): ReadonlyArray<string> => [
  change._tag === "Override" ? "O" : "P",
  change.name,
  change._tag === "Override" ? "0" : String(change.release),
  change.settings === undefined ? "" : JSON.stringify(change.settings)
]

export const verbs = ({ call }: Calls): Pick<JobStore.Shape, "limits" | "keys"> => ({
  limits: (changes) => Effect.map(call<ReadonlyArray<string>>("limits", "limits", changes.flatMap(argsOf)), limitsOf),
  keys: ({ after, limit, name }) =>
    Effect.gen(function*() {
      const rows: Array<JobStore.KeyRow> = []
      let from = after === undefined ? "" : Codec.clean(after)
      do {
        const args = [name, from, String(limit - rows.length)]
        const [lines, next] = yield* call<readonly [string, string]>("keys", "keys", args)
        rows.push(...Decode.linesOf(lines).map(keyOf))
        from = next
      } while (from !== "" && rows.length < limit)
      return rows
    })
})
