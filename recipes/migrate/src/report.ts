/** A report of rejects: a file with one JSON object a line. */
import { Effect, FileSystem } from "effect"
import { type Reject, ReportError } from "./source.ts"

/** Begins the report anew: what is rejected is still there, and every run says so. */
export const reportTo = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const failed = Effect.mapError((cause: unknown) => new ReportError({ cause }))
  const file = yield* failed(fs.open(path, { flag: "w" }))
  return (rejects: ReadonlyArray<Reject>) =>
    failed(file.writeAll(new TextEncoder().encode(rejects.map((reject) => `${JSON.stringify(reject)}\n`).join(""))))
})
