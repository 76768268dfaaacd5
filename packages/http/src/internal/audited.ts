/**
 * The last entries of the audit log beside the log itself, so that a page can show them. Of each so much is kept that all of them are
 * small: whoever is refused everything makes entries too.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Insight from "../ApiInsight.ts"
import { AuditLog, type Entry } from "../AuditLog.ts"
import { cut, present } from "./view.ts"

const kept = 500
/** Characters of a name, and of each other text: an entry has some 2 KiB. */
const mostName = 100
const mostText = 600

type Shown = (typeof Insight.Audit.Type)["entries"][number]

interface Kept {
  /** Where it was about one alone: who may not view that is not told of the entry. */
  readonly queue: string | undefined
  readonly shown: Shown
}

export class Audited extends Context.Service<Audited, {
  readonly log: (typeof AuditLog)["Service"]
  /** The newest first. */
  readonly last: () => ReadonlyArray<Kept>
}>()("@capstan/http/internal/Audited") {}

export const layer: Layer.Layer<Audited> = Layer.effect(
  Audited,
  Effect.map(AuditLog, (log) => {
    const entries: Array<Kept> = []
    return {
      log: {
        write: (entry: Entry) =>
          Effect.suspend(() => {
            // The beginning of a text holds the whole text in memory. That of a copy does not.
            entries.push(structuredClone({ queue: entry.where.queue, shown: shownOf(entry) }))
            if (entries.length > kept) entries.shift()
            return log.write(entry)
          })
      },
      last: () => entries.toReversed()
    }
  })
)

const shownOf = ({ action, address, at, options, outcome, principal, where }: Entry): Shown =>
  present({
    at,
    principal: cut(principal, mostName),
    address: address === undefined ? undefined : cut(address, mostName),
    action,
    where: cut(JSON.stringify(where), mostText),
    options: cut(JSON.stringify(options), mostText),
    outcome: outcome._tag,
    changed: outcome._tag === "Done" ? outcome.changed : undefined,
    requested: outcome._tag === "Done" ? outcome.requested : undefined,
    detail: outcome._tag === "Failed" || outcome._tag === "Refused" ? cut(outcome.detail, mostText) : undefined
  })
