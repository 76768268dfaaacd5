/**
 * Values of a fiber's References that travel in the headers of a record: to its handler, and on to its children.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Codec } from "./codec.ts"
import * as Log from "./log.ts"

export interface Propagation {
  readonly reference: Context.Reference<never>
  readonly header: string
  readonly codec: Codec
}

/** All headers of this kind are handed on to children, also to jobs that do not declare them. */
export const prefix = "ref-"

type Headers = Record<string, string>

/** Adds the values of the declared References to the headers. */
export const capture = (
  fiber: Fiber.Fiber<unknown, unknown>,
  propagations: ReadonlyArray<Propagation>,
  headers: Headers
): Effect.Effect<Headers, unknown> =>
  Effect.forEach(
    propagations,
    ({ codec, header, reference }) =>
      Effect.map(codec.encode(fiber.getRef(reference)), (json) => {
        headers[header] = json ?? "null"
      }),
    { discard: true }
  ).pipe(Effect.as(headers))

/** The values that a record brings along, for the handler's context. One that no longer decodes is left at its default. */
export const restore = (
  propagations: ReadonlyArray<Propagation>,
  headers: Readonly<Headers>
): Effect.Effect<ReadonlyArray<readonly [Context.Reference<never>, never]>> =>
  Effect.gen(function*() {
    const values: Array<readonly [Context.Reference<never>, never]> = []
    for (const { codec, header, reference } of propagations) {
      const json = headers[header]
      if (json === undefined) continue
      const value = yield* Effect.option(codec.decode(json))
      if (value._tag === "Some") values.push([reference, value.value as never])
      else yield* Log.warning(`header ${header} does not decode, the reference keeps its default`)
    }
    return values
  })

/** The headers of a parent that its children inherit. */
export const inherit = (headers: Readonly<Headers>): Headers => {
  const inherited: Headers = {}
  for (const name in headers) if (name.startsWith(prefix)) inherited[name] = headers[name]!
  return inherited
}
