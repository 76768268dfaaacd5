/**
 * Who did what to how many records: one entry for each change that was asked for, also for those that were refused.
 *
 * Without another one the entries are logged, as "capstan audit" with their parts as annotations.
 *
 * @since 0.1.0
 */
import type { Jobs, JobStore } from "capstan"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Action } from "./Permission.ts"

/**
 * One change.
 *
 * **Details**
 *
 * It is as long as what the API takes: `where` has at most 1,000 ids, and 20 pointers with texts of 4,096 characters. `GET /audit` shows the
 * beginning of its texts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  /** Epoch milliseconds of this process's clock, when it ended. */
  readonly at: number
  /** The name that `Auth` gave. */
  readonly principal: string
  /** The peer's address, where it is known. */
  readonly address: string | undefined
  readonly action: Action
  /** As it was asked for; `payload` is what was looked for inside of payloads. */
  readonly where: JobStore.Selection & Pick<Jobs.Query, "payload">
  /** What else was given: the reason of a cancel, a priority, a due instant. */
  readonly options: Readonly<Record<string, unknown>>
  readonly outcome: Outcome
}

/**
 * What came of it.
 *
 * - `Done`: how many records took it, and how; a switch that was turned is one change
 * - `Refused`: the principal may not do this
 * - `Failed`: the store did not do it, or not all of it
 * - `Interrupted`: the caller went away, some chunks may be done
 *
 * `detail` has at most 1,000 characters; a longer one ends with `…`.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome =
  | ({ readonly _tag: "Done" } & Jobs.Counts)
  | { readonly _tag: "Refused"; readonly detail: string }
  | { readonly _tag: "Failed"; readonly detail: string }
  | { readonly _tag: "Interrupted" }

/**
 * The service. It has a default, which logs.
 *
 * **Details**
 *
 * `write` is awaited before the caller has the answer. It handles its own errors: the change is done already.
 *
 * @category service
 * @since 0.1.0
 */
export const AuditLog = Context.Reference<{ readonly write: (entry: Entry) => Effect.Effect<void> }>(
  "@capstan/http/AuditLog",
  {
    defaultValue: () => ({
      write: ({ outcome, ...entry }) =>
        Effect.annotateLogs(Effect.logInfo("capstan audit"), {
          ...entry,
          where: JSON.stringify(entry.where),
          options: JSON.stringify(entry.options),
          outcome: JSON.stringify(outcome)
        })
    })
  }
)
