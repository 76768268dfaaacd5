/**
 * A step over many items, which goes on after the last one that is kept.
 *
 * How far it is is kept under a name with a rising number, which takes the place of the one before: a write that comes late
 * cannot set it back.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { JobContext } from "../../JobContext.ts"
import type { JobStoreError } from "../../JobError.ts"
import * as Checkpoint from "./checkpoint.ts"
import { checked } from "./run.ts"
import type { Steps } from "./steps.ts"

export interface Options {
  readonly cursor: Schema.Top
  readonly items: (after: Option.Option<never>) => Stream.Stream<unknown, unknown, unknown>
  readonly cursorOf: (item: never) => unknown
  readonly run: (item: never) => Effect.Effect<unknown, unknown, unknown>
  readonly every?: number | undefined
}

/** Where it stands: how many items are done, the cursor of the last one, and the number of what keeps it. */
interface Place {
  readonly number: number
  readonly done: number
  readonly cursor: Option.Option<unknown>
}

const start: Place = { number: 0, done: 0, cursor: Option.none() }
const at = (name: string, number: number): string => `${name}@${number}`

export const each = (given: string, options: Options): Effect.Effect<number, unknown, JobContext> => {
  const name = checked(given)
  const every = Math.max(1, options.every ?? 100)
  return Effect.gen(function*() {
    const { steps } = yield* JobContext
    const found = yield* steps.ask(name, "items")
    if (found !== undefined) return Number(found.value)
    return yield* steps.run(name, through(steps, name, every, options))
  }) as Effect.Effect<number, unknown, JobContext>
}

const through = (steps: Steps, name: string, every: number, options: Options) =>
  Effect.gen(function*() {
    const { cursor: schema, cursorOf, items, run } = options
    const codec = Checkpoint.codecOf(schema)
    let kept = yield* find(steps, name, codec)
    let { cursor, done } = kept
    const place = Effect.suspend(() =>
      Effect.map(Effect.orDie(codec.encode(Option.getOrUndefined(cursor))), (json) => ({
        number: kept.number + 1,
        done,
        json: json ?? "null"
      }))
    )
    const checkpoint = (count: number, json: string) => ({ kind: "cursor", value: `[${count},${json}]` }) as const
    const keep = Effect.flatMap(place, ({ done, json, number }) =>
      Effect.map(steps.keep(at(name, number), checkpoint(done, json), at(name, kept.number)), () => {
        kept = { number, done, cursor }
      }))
    // What is done is not done again because the next item fails, or the worker closes.
    const keepRest = Effect.suspend(() =>
      done === kept.done ?
        Effect.void :
        Effect.flatMap(place, ({ done, json, number }) =>
          steps.tryKeep(at(name, number), checkpoint(done, json), at(name, kept.number)))
    )
    yield* Stream.runForEach(items(cursor as Option.Option<never>), (item) =>
      Effect.flatMap(run(item as never), () => {
        done++
        cursor = Option.some(cursorOf(item as never))
        return done - kept.done >= every ? keep : Effect.void
      })).pipe(
        Effect.onExit((exit) =>
          Exit.isSuccess(exit) ? Effect.void : keepRest
        )
      )
    yield* steps.keep(name, { kind: "items", value: String(done) }, at(name, kept.number))
    return done
  })

const find = (
  steps: Steps,
  name: string,
  codec: ReturnType<typeof Checkpoint.codecOf>
): Effect.Effect<Place, JobStoreError> =>
  Effect.gen(function*() {
    let number = 0
    for (const each of yield* steps.names) {
      if (each.startsWith(`${name}@`)) number = Math.max(number, Number(each.slice(name.length + 1)))
    }
    const found = number === 0 ? undefined : yield* steps.find(at(name, number))
    if (found === undefined) return start
    const [done, json] = JSON.parse(found.value!) as [number, unknown]
    const cursor = yield* Effect.orDie(codec.decode(JSON.stringify(json)))
    return { number, done, cursor: Option.some(cursor) }
  })
