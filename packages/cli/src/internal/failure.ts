/**
 * How a command ends that did not do what was asked: a sentence for a person, and a code for a script.
 */
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

/** What the store, the connection or the application's module said, in one sentence and without a stack. */
export const whatWentWrong = (error: unknown): CommandFailed =>
  error instanceof CommandFailed
    ? error
    : failed("Failed", error instanceof Error ? error.message : String(error))
