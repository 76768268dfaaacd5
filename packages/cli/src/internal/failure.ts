/**
 * How a command ends that did not do what was asked: a sentence for a person, and a code for a script.
 */
import { JobError } from "capstan"
import * as CliError from "effect/cli/CliError"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/** What an exit code means. They are documented in docs/cli.md. */
export const exitCodes = {
  /** The store is away, or refused. */
  Failed: 1,
  /** The command line makes no sense, or was not confirmed. */
  Usage: 2,
  /** What it names is not there. */
  NotFound: 3,
  /** `check` or `migrate status` found something to mend. */
  Found: 4
} as const

/**
 * Why a command did not do it.
 */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", {
  kind: Schema.Literals(["Failed", "Usage", "NotFound", "Found"]),
  message: Schema.String
}) {
  override get [CliError.userMessage](): string {
    return this.message
  }

  override get [Runtime.errorExitCode](): number {
    return exitCodes[this.kind]
  }
}

export const failed = (kind: CommandFailed["kind"], message: string): CommandFailed =>
  new CommandFailed({ kind, message })

/** What it was about: what was asked makes no sense, or what is named is not there, or else the store. */
const kindOf = (error: unknown): CommandFailed["kind"] =>
  error instanceof JobError.JobControlError || error instanceof JobError.EnqueueError
    ? "Usage"
    : error instanceof JobError.ScheduleError
    ? error.reason._tag === "ScheduleNotFound" ? "NotFound" : "Usage"
    : "Failed"

/** What the store, the connection or the application's module said, in one sentence and without a stack. */
export const whatWentWrong = (error: unknown): CommandFailed =>
  error instanceof CommandFailed
    ? error
    : failed(kindOf(error), error instanceof Error ? error.message : String(error))
