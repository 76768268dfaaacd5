/** What the recipes share: the jobs, the program's runtime, and the application's own sessions, which say who may do what. */
import { ApiError, Auth, JobsHttp } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Job, JobGroup, Jobs, JobSchedules, JobStore, JobWorker } from "capstan"
import { Context, Effect, Layer, ManagedRuntime, Schema } from "effect"
import { HttpRouter } from "effect/http"
import type { IncomingMessage, ServerResponse } from "node:http"

export class Greet extends Job.make("Greet", {
  payload: { name: Schema.NonEmptyString },
  success: Schema.String,
  queue: "mail"
}) {}

const Greetings = JobGroup.make(Greet)

const Worker = JobWorker.layer(Greetings).pipe(
  Layer.provide(Greetings.toLayer({ Greet: ({ name }) => Effect.succeed(`hello ${name}`) }))
)

/** Stands for the application's own. */
const sessions = new Map([["of-olivia", Auth.principal("Olivia", "operator")]])

const AuthLive = Auth.layer((request) => {
  const principal = sessions.get(request.cookies.session ?? "")
  return principal === undefined
    ? Effect.fail(new ApiError.Unauthorized({ detail: "sign in first" }))
    : Effect.succeed(principal)
})

/** In production a store that others reach too. */
const Store = JobStore.layerMemory()

export const services = Layer.mergeAll(AuthLive, Jobs.layer, JobSchedules.layer).pipe(Layer.provideMerge(Store))

/** The API as Node's own server takes it, and what is built on that. */
export class JobsListener extends Context.Service<
  JobsListener,
  (request: IncomingMessage, response: ServerResponse) => void
>()("app/JobsListener") {
  static readonly layer = Layer.effect(JobsListener)(Effect.gen(function*() {
    const api = yield* HttpRouter.toHttpEffect(JobsHttp.layer())
    return yield* NodeHttpServer.makeHandler(api, { scope: yield* Effect.scope })
  }))
}

/** One for the process, so that requests, workers and the API have one store. */
export const runtime = ManagedRuntime.make(
  Layer.mergeAll(JobsListener.layer, Worker).pipe(Layer.provideMerge(services))
)
