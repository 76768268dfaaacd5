/** Handlers that never return. Some of them cannot be interrupted either. */
import { Job } from "capstan"
import { Effect, Schedule } from "effect"
import type { Write } from "../ledger.ts"
import { attempting, success, work } from "./attempt.ts"

/** Milliseconds. */
export const timeout = 1000

/** What a hanging record has before it is dead. */
export const maxAttempts = 2

const options = { payload: work, success, timeout, maxAttempts, retryDefects: Schedule.spaced(100) }

export class Hanging extends Job.make("Hanging", options) {}

export class Deaf extends Job.make("Deaf", options) {}

export const HangingLive = (write: Write) => Hanging.toLayer((given) => attempting(write)(given, Effect.never))

export const DeafLive = (write: Write) =>
  Deaf.toLayer((given) => Effect.uninterruptible(attempting(write)(given, Effect.never)))
