/** The last entries of the audit log beside the log itself, so that a page can show them. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Insight from "../ApiInsight.ts"
import { AuditLog, type Entry } from "../AuditLog.ts"
import { present } from "./view.ts"

const kept = 500

export class Audited extends Context.Service<Audited, {
  readonly log: (typeof AuditLog)["Service"]
  /** The newest first. */
  readonly last: () => ReadonlyArray<Entry>
}>()("@capstan/http/internal/Audited") {}

export const layer: Layer.Layer<Audited> = Layer.effect(
  Audited,
  Effect.map(AuditLog, (log) => {
    const entries: Array<Entry> = []
    return {
      log: {
        write: (entry: Entry) =>
          Effect.suspend(() => {
            entries.push(entry)
            if (entries.length > kept) entries.shift()
            return log.write(entry)
          })
      },
      last: () => entries.toReversed()
    }
  })
)

export const entryOf = (
  { action, address, at, options, outcome, principal, where }: Entry
): (typeof Insight.Audit.Type)["entries"][number] =>
  present({
    at,
    principal,
    address,
    action,
    where: JSON.stringify(where),
    options: JSON.stringify(options),
    outcome: outcome._tag,
    changed: outcome._tag === "Done" ? outcome.changed : undefined,
    requested: outcome._tag === "Done" ? outcome.requested : undefined,
    detail: outcome._tag === "Failed" || outcome._tag === "Refused" ? outcome.detail : undefined
  })
