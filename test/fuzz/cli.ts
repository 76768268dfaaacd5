/** Command lines. */
import { Cli } from "@capstan/cli"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { JobStore } from "capstan"
import { Console, Effect, Layer } from "effect"
import { Command } from "effect/cli"
import type { Arbitrary } from "./arbitrary.ts"
import type { Target } from "./fuzz.ts"

const known = "01890000-0000-7000-8000-000000000001"

const words = [
  "stats",
  "list",
  "inspect",
  "retry",
  "cancel",
  "promote",
  "reschedule",
  "reprioritise",
  "delete",
  "pause",
  "resume",
  "drain",
  "enqueue",
  "schedules",
  "limits",
  "check",
  "export"
]
const flags = [
  "--job",
  "--queue",
  "--state",
  "--tag",
  "--since",
  "--until",
  "--error",
  "--dead",
  "--flow",
  "--limit",
  "--cursor",
  "--order",
  "--at",
  "--priority",
  "--delay",
  "--key",
  "--reason"
]
const switches = ["--yes", "--dry-run", "--all", "--json"]

/** No command waits for an answer, reads the input or writes a file. */
const argument = (a: Arbitrary): string => {
  const text = a.pick([a.like(known), a.text(), "dead", "2h", String(a.number()), "{\"to\":1}"]).replaceAll("\0", "0")
  return text === "-" ? "--" : text
}

const silent = { ...globalThis.console, log: () => {}, error: () => {} }

export const targets: ReadonlyArray<Target<JobStore.JobStore>> = [{
  name: "a command line",
  errors: ["CommandFailed", "ShowHelp", "JobControlError", "JobStoreError", "EnqueueError", "ScheduleError"],
  call: (a, note) => {
    const args = [
      a.chance(0.95) ? a.pick(words) : argument(a),
      ...Array.from(
        { length: a.below(3) },
        () => a.chance(0.6) ? [a.pick(flags), argument(a)] : [a.chance(0.5) ? a.pick(switches) : argument(a)]
      ).flat(),
      ...a.chance(0.5) ? ["--yes"] : []
    ].filter((one) => one !== "--out")
    note(args)
    return Effect.flatMap(
      JobStore.JobStore,
      (store) =>
        Command.runWith(Cli.make({ store: Layer.succeed(JobStore.JobStore, store) }), { version: "0.0.0" })(args).pipe(
          Effect.provideService(Console.Console, silent),
          Effect.provide(NodeServices.layer)
        )
    )
  }
}]
