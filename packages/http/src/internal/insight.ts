/** What the newest records say: of jobs, of what fails, of flows. A bounded number is read, and shared by who asks at once. */
import type { Job, JobGroup } from "capstan"
import { Jobs } from "capstan"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Schema from "effect/Schema"
import { RecordNotFound } from "../ApiError.ts"
import type * as Insight from "../ApiInsight.ts"
import { Caller, JobsApi } from "../JobsApi.ts"
import { Bounded } from "./bounded.ts"
import { answered } from "./change.ts"
import * as FlowOf from "./flow.ts"
import * as Seen from "./seen.ts"

const looked = 500
/** However many ask meanwhile. */
const shared = "2 seconds"

export const layer = (groups: ReadonlyArray<JobGroup.Any>) =>
  HttpApiBuilder.group(
    JobsApi,
    "insight",
    Effect.fnUntraced(function*(handlers) {
      const jobs = yield* Jobs.Jobs
      const newest = (where: Jobs.Query) =>
        Effect.cachedWithTTL(
          Effect.map(jobs.query({ ...where, limit: looked }), ({ records }) => records.map(Seen.slim)),
          shared
        )
      const all = yield* newest({})
      const dead = yield* newest({ states: ["dead"] })
      const retrying = yield* newest({ states: ["scheduled"] })
      const seen = <A, E>(
        read: Effect.Effect<ReadonlyArray<Seen.Slim>, E>,
        use: (records: ReadonlyArray<Seen.Slim>) => A
      ) =>
        Effect.gen(function*() {
          const { may } = yield* Caller
          return use((yield* read).filter(({ queue }) => may("view", queue)))
        })
      const flowOf = yield* FlowOf.make(jobs, yield* Bounded)
      const declared = groups.flatMap(({ jobs }) => [...jobs.values()].map(declarationOf))

      return handlers.handleAll({
        jobs: () => answered(seen(all, Seen.jobsOf)),
        errors: () =>
          answered(
            seen(Effect.zipWith(dead, retrying, (dead, retrying) => [...dead, ...retrying]), Seen.errorsOf)
          ),
        flows: () => answered(seen(all, Seen.flowsOf)),
        flow: ({ params: { id } }) =>
          Effect.gen(function*() {
            const { may } = yield* Caller
            const flow = yield* answered(flowOf(id, (queue) => may("view", queue)))
            return flow ?? (yield* new RecordNotFound({ id }))
          }),
        declarations: () =>
          Effect.map(Caller, ({ may }) => ({ jobs: declared.filter(({ queue }) => may("view", queue)) }))
      })
    })
  )

type Declaration = (typeof Insight.Declarations.Type)["jobs"][number]

const declarationOf = (job: Job.Any): Declaration => ({
  job: job._tag,
  queue: job.queue,
  payload: jsonSchemaOf(job.payloadSchema)
})

/** A schema that has no JSON Schema is one that says nothing. */
const jsonSchemaOf = (schema: Schema.Top): Schema.Json => {
  try {
    const { definitions, schema: root } = Schema.toJsonSchemaDocument(Schema.toCodecJson(schema))
    return JSON.parse(JSON.stringify({ ...root, $defs: definitions }))
  } catch {
    return {}
  }
}
