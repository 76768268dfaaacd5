// Written by `npm run docs`: the example of `layer` of @capstan/http/JobsHttp.
import { AuthLive, HttpRouter, NodeHttpServer, StoreLive, createServer } from "./setting.ts"
import { JobSchedules, Jobs } from "capstan"
import { JobsHttp } from "@capstan/http"
import { Layer } from "effect"

export const run = () => {
  const Server = HttpRouter.serve(JobsHttp.layer({ prefix: "/ops/jobs" })).pipe(
    Layer.provide(NodeHttpServer.layer(createServer, { port: 3000 })),
    Layer.provide(AuthLive),
    Layer.provide([Jobs.layer, JobSchedules.layer]),
    Layer.provide(StoreLive)
  )
}
