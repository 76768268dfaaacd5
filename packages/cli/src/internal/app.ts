/** The application's own declarations, where a command needs a job's schema: a module that exports them. */
import { Job, JobGroup } from "capstan"
import { Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { pathToFileURL } from "node:url"
import { type CommandFailed, failed, whatWentWrong } from "./failure.ts"

export const app = Flag.Path("app", { pathType: "file", mustExist: true }).pipe(
  Flag.withDescription("A module of your application that exports its jobs: their schemas check what is enqueued"),
  Flag.optional
)

const isJob = (value: unknown): value is Job.Any => typeof value === "function" && Job.TypeId in value

/** All jobs that the module exports, by tag. */
export const jobsOf = (path: string): Effect.Effect<ReadonlyMap<string, Job.Any>, CommandFailed, Path.Path> =>
  Effect.gen(function*() {
    const paths = yield* Path.Path
    const module: Readonly<Record<string, unknown>> = yield* Effect.tryPromise({
      try: () => import(pathToFileURL(paths.resolve(path)).href),
      catch: (error) => failed("Failed", `${path} does not load: ${whatWentWrong(error).message}`)
    })
    const jobs = new Map(Object.values(module).filter(isJob).map((job) => [job._tag, job]))
    if (jobs.size === 0) return yield* failed("Failed", `${path} exports no job`)
    return jobs
  })

/** The job of this tag, as the application declares it. */
export const declared = (
  path: Option.Option<string>,
  tag: string
): Effect.Effect<Option.Option<Job.Any>, CommandFailed, Path.Path> =>
  Option.isNone(path)
    ? Effect.succeed(Option.none())
    : Effect.flatMap(jobsOf(path.value), (jobs) => {
      const job = jobs.get(tag)
      return job === undefined
        ? Effect.fail(
          failed("NotFound", `${path.value} exports no job ${tag}, but ${[...jobs.keys()].toSorted().join(", ")}`)
        )
        : Effect.succeed(Option.some(job))
    })

/** All jobs of the module as one group, or none. */
export const appGroup = (
  path: Option.Option<string>
): Effect.Effect<ReadonlyArray<JobGroup.Any>, CommandFailed, Path.Path> =>
  Option.isNone(path)
    ? Effect.succeed([])
    : Effect.map(jobsOf(path.value), (jobs) => [JobGroup.make(...jobs.values())])
