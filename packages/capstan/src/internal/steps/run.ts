/**
 * A step with a result: looked up, or run and kept. Without the types of its schema.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { JobContext } from "../../JobContext.ts"
import {
  CompensationInStep,
  type JobStoreError,
  LargeStep,
  NoSuchStep,
  StepError,
  UnreadableStep
} from "../../JobError.ts"
import { Transactional } from "../../Transactional.ts"
import { issueOf } from "../codec.ts"
import { integer, name as checkName, type Previous } from "../definition.ts"
import { size } from "../enqueue.ts"
import { EndSignal } from "../handler.ts"
import * as Checkpoint from "./checkpoint.ts"
import { InStep, type Steps } from "./steps.ts"

export interface Options {
  readonly success?: Schema.Top | undefined
  readonly version?: number | undefined
  readonly upcast?: ReadonlyArray<Previous> | undefined
}

/** The size that an encoded result may have, in bytes of UTF-8. */
export const maxBytes = 1024 * 1024
/** How long a record whose checkpoint a newer release has written is left to workers of that release, in milliseconds. */
const forNewer = 10_000

/** The step inside of `withCompensation` says here which one it is. */
export const Undoing = Context.Reference<{ name: string | undefined } | undefined>("capstan/Undoing", {
  defaultValue: () => undefined
})

export const checked = (name: string): string => checkName("step", "name", name)

export const run = (
  name: string,
  options: Options,
  effect: Effect.Effect<unknown, unknown, unknown>
): Effect.Effect<unknown, unknown, unknown> =>
  step(name, options, (steps, keep) => steps.run(name, Effect.flatMap(effect, keep)))

/** Runs and keeps in one transaction. A reply that was lost is no answer: the next attempt finds what came of it. */
export const commit = (
  name: string,
  options: Options,
  effect: Effect.Effect<unknown, unknown, unknown>
): Effect.Effect<unknown, unknown, unknown> =>
  step(
    name,
    options,
    (steps, _, entryOf) =>
      Effect.flatMap(Transactional, (transactional) =>
        steps.run(
          name,
          Effect.suspend(() => {
            let entry: Entry | undefined
            const write = (value: unknown) => Effect.tap(entryOf(value), (made) => Effect.sync(() => entry = made))
            return Effect.tap(transactional.step(effect, write), () => Effect.sync(() => steps.kept(entry!)))
          })
        ))
  )

type Entry = ReturnType<Steps["entryOf"]>

const step = (
  given: string,
  options: Options,
  execute: (
    steps: Steps,
    keep: (value: unknown) => Effect.Effect<unknown, JobStoreError>,
    entryOf: (value: unknown) => Effect.Effect<Entry>
  ) => Effect.Effect<unknown, unknown, unknown>
): Effect.Effect<unknown, unknown, unknown> => {
  const name = checked(given)
  const version = integer("step", "version", options.version ?? 1, 1, 1_000_000)
  return Effect.gen(function*() {
    const { steps } = yield* JobContext
    const undo = yield* takeUndo(steps, name)
    const found = yield* steps.ask(name, "step")
    if (found !== undefined) return yield* valueOf(steps, name, version, options, found)
    const failed = undo ? steps.failedSoFar : undefined
    const encode = (value: unknown) =>
      Effect.map(
        encoded(steps, name, options, value),
        (json) => ({ kind: "step", version, undo, failed, value: json }) as const
      )
    const keep = (value: unknown) =>
      Effect.flatMap(encode(value), (checkpoint) => Effect.as(steps.keep(name, checkpoint), value))
    const entryOf = (value: unknown) => Effect.map(encode(value), (checkpoint) => steps.entryOf(name, checkpoint))
    const body = execute(steps, keep, entryOf)
    return yield* undo ? Effect.provideService(body, Undoing, undefined) : body
  })
}

/** Whether the step is to be undone when the record ends without success. */
export const takeUndo = (steps: Steps, name: string): Effect.Effect<boolean> =>
  Effect.withFiber((fiber) => {
    const { job } = steps.record
    const undoing = fiber.getRef(Undoing)
    if (undoing === undefined) return Effect.succeed(false)
    if (undoing.name !== undefined) return Effect.die(new StepError({ reason: new NoSuchStep({ job }) }))
    if (fiber.getRef(InStep) !== undefined) {
      return Effect.die(new StepError({ reason: new CompensationInStep({ job, step: name }) }))
    }
    undoing.name = name
    return Effect.succeed(true)
  })

const encoded = (
  { record: { job } }: Steps,
  name: string,
  { success = Schema.Void }: Options,
  value: unknown
): Effect.Effect<string | undefined> =>
  Effect.flatMap(
    Effect.catch(
      Checkpoint.codecOf(success).encode(value),
      (error) =>
        Effect.die(new Error(`the result of step ${name} does not satisfy its success schema: ${issueOf(error)}`))
    ),
    (json) => {
      const bytes = json === undefined ? 0 : size(json, maxBytes)
      return bytes <= maxBytes
        ? Effect.succeed(json)
        : Effect.die(new StepError({ reason: new LargeStep({ job, step: name, bytes, limit: maxBytes }) }))
    }
  )

/** What was kept, lifted from its own version to this one. */
const valueOf = (
  { record: { job } }: Steps,
  name: string,
  version: number,
  { success = Schema.Void, upcast = [] }: Options,
  found: Checkpoint.Checkpoint
): Effect.Effect<unknown> => {
  const unreadable = (error: unknown) =>
    Effect.die(
      new StepError({
        reason: new UnreadableStep({ job, step: name, version: found.version, issue: issueOf(error) })
      })
    )
  if (found.version === version) return Effect.catch(Checkpoint.codecOf(success).decode(found.value), unreadable)
  if (found.version > version) return Effect.die(newer(name, found.version, version))
  const from = upcast.findIndex((older) => older.version === found.version)
  if (from < 0) {
    return unreadable(new Error(`version ${found.version} is not among those that upcast lifts to ${version}`))
  }
  const older = upcast.slice(from)
  return Effect.catch(
    Effect.flatMap(older[0]!.codec.decode(found.value), (value) =>
      Effect.try({
        try: () => older.reduce((lifted: unknown, { lift }) => lift(lifted as never), value),
        catch: (error) => error
      })),
    unreadable
  )
}

/** A newer release has run this step. Its workers know what it means: the record is left to them, uncharged. */
const newer = (name: string, found: number, version: number): EndSignal =>
  new EndSignal({
    _tag: "SnoozeFor",
    delay: forNewer,
    failure: {
      kind: "Defect",
      tag: "NewerStep",
      message:
        `step ${name} was kept by a newer release (version ${found}, this one has ${version}): it is left to that`
    }
  })
