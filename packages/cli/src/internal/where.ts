/** Which records: the same flags for every command that looks at records or acts on them. */
import { JobRecord, type Jobs, type JobStore } from "capstan"
import { Argument, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type CommandFailed, failed } from "./failure.ts"

const deadReasons = [
  "Failed",
  "Defect",
  "TimedOut",
  "Crashed",
  "Expired",
  "InvalidPayload",
  "DependencyFailed"
] as const satisfies ReadonlyArray<JobRecord.DeadReason>

const text = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.optional)

export const where = {
  job: text("job", "The job's tag, such as SendMail"),
  queue: text("queue", "The queue"),
  state: Flag.Literals("state", JobRecord.states).pipe(
    Flag.withDescription("The state; may be given more than once"),
    Flag.between(0, JobRecord.states.length)
  ),
  tag: text("tag", "A tag that was given at the enqueue"),
  error: text("error", "The tag of the last failure's declared error"),
  dead: Flag.Literals("dead", deadReasons).pipe(Flag.withDescription("Why it is dead"), Flag.optional),
  flow: text("flow", "The id of a flow"),
  parent: text("parent", "The id of the record that it is a child of"),
  key: text("key", "The concurrency key, as records have it"),
  worker: text("worker", "What a worker runs: its id"),
  since: text("since", "Enqueued at or after: an instant such as 2026-11-26T08:00Z, or an age such as 2h"),
  before: text("before", "Enqueued before: an instant, or an age")
}

export type Where = {
  readonly [K in keyof typeof where]: (typeof where)[K] extends Flag.Flag<infer A> ? A : never
}

/** For commands that look: what acts goes by what a store has an index of. */
export const inside = {
  data: Flag.String("data").pipe(
    Flag.withMetavar("/place=value"),
    Flag.withDescription(
      "What stands in the payload, such as /to=ada@example.com or /order/id=42; beside another flag, may be given more than once"
    ),
    Flag.between(0, 10)
  )
}

/** A value is JSON where it reads as a number, true, false, null or a quoted text; else it is the text itself. */
const valueOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** By JSON pointer; none where nothing is asked. */
export const insideOf = (
  data: ReadonlyArray<string>,
  selection: JobStore.Selection
): Effect.Effect<NonNullable<Jobs.Query["payload"]> | undefined, CommandFailed> =>
  Effect.gen(function*() {
    if (data.length === 0) return undefined
    if (isEverything(selection)) {
      return yield* failed(
        "Usage",
        "--data is looked up in what another flag leaves, since no store has an index of payloads: give --job, --queue, --since or such beside it"
      )
    }
    const payload: Record<string, string | number | boolean | null> = {}
    for (const one of data) {
      const [, place, text] = /^((?:\/[^=]*)?)=(.*)$/s.exec(one) ?? []
      if (place === undefined) {
        return yield* failed("Usage", `--data must be a place and a value, such as /to=ada@example.com, it is ${one}`)
      }
      if (Object.hasOwn(payload, place)) return yield* failed("Usage", `--data has ${place} twice`)
      const value = valueOf(text!)
      if (typeof value === "object" && value !== null) {
        return yield* failed(
          "Usage",
          `--data must be about one value, ${place}=${text} is about several: give the place of each`
        )
      }
      payload[place] = value as string | number | boolean | null
    }
    return payload
  })

/** Whether a number may have been meant as a text: the same in words. */
export const otherReading = (payload: Jobs.Query["payload"]): string => {
  const found = Object.entries(payload ?? {}).find(([, value]) => typeof value !== "string")
  return found === undefined
    ? ""
    : ` (${found[1]} was sought as ${found[1] === null ? "null" : `a ${typeof found[1]}`}; as a text it is --data '${
      found[0]
    }="${found[1]}"')`
}

/** The store would refuse it too, in words of its own. */
export const idOf = (text: string): Effect.Effect<JobRecord.JobId, CommandFailed> =>
  /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
    ? Effect.succeed(JobRecord.JobId(text))
    : Effect.fail(failed("Usage", `"${text}" is no id of a record: one is like 01a2166b-0000-7000-8000-000000000000`))

export const ids = Argument.String("id").pipe(
  Argument.withDescription("Ids of records"),
  Argument.variadic()
)

const ages: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * Epoch milliseconds; NaN of what begins with no date, or of a time without a zone. A bare number would be read as a year, and
 * such a time as that of this machine, while all that is printed is UTC.
 */
const parsed = (text: string): number =>
  /^\d{4}-\d\d-\d\d([T ].*(Z|[+-]\d\d:?\d\d))?$/i.test(text) ? Date.parse(text) : NaN

/** Epoch milliseconds of the instant that a flag names. */
export const atOf = (flag: string, text: string): Effect.Effect<number, CommandFailed> => {
  const at = parsed(text)
  return Number.isNaN(at)
    ? Effect.fail(failed("Usage", `--${flag} must be an instant such as 2026-11-27T08:00Z, it is ${text}`))
    : Effect.succeed(at)
}

/** Epoch milliseconds of an instant, or of so long ago. */
const instantOf = (flag: string, value: Option.Option<string>, now: number) =>
  Option.match(value, {
    onNone: () => Effect.succeed(undefined),
    onSome: (text): Effect.Effect<number, CommandFailed> => {
      const age = /^(\d+)([smhd])$/.exec(text)
      const at = age === null ? parsed(text) : now - Number(age[1]) * ages[age[2]!]!
      return Number.isNaN(at)
        ? Effect.fail(
          failed("Usage", `--${flag} must be an instant such as 2026-11-26T08:00Z, or an age such as 90s, 15m, 2h, 7d`)
        )
        : Effect.succeed(at)
    }
  })

/** `now` is the store's: ages are counted by its clock. */
export const selectionOf = (
  given: Where,
  idsGiven: ReadonlyArray<string>,
  now: number
): Effect.Effect<JobStore.Selection, CommandFailed> =>
  Effect.gen(function*() {
    const ids = yield* Effect.forEach(idsGiven, idOf)
    return {
      ...(ids.length > 0 ? { ids } : {}),
      ...(given.state.length > 0 ? { states: given.state } : {}),
      tag: Option.getOrUndefined(given.job),
      queue: Option.getOrUndefined(given.queue),
      label: Option.getOrUndefined(given.tag),
      errorTag: Option.getOrUndefined(given.error),
      deadReason: Option.getOrUndefined(given.dead),
      flowId: Option.getOrUndefined(given.flow),
      parent: Option.isSome(given.parent) ? yield* idOf(given.parent.value) : undefined,
      concurrencyKey: Option.getOrUndefined(given.key),
      worker: Option.getOrUndefined(given.worker),
      enqueuedFrom: yield* instantOf("since", given.since, now),
      enqueuedBefore: yield* instantOf("before", given.before, now)
    }
  })

/** Whether anything narrows the records down. */
export const isEverything = (selection: JobStore.Selection): boolean =>
  Object.values(selection).every((value) => value === undefined)
