// Written by `npm run docs`: the example of `layer` of @capstan/dashboard/Dashboard.
import { AuthLive, HttpRouter, NodeHttpServer, StoreLive, createServer } from "./setting.ts"
import { Dashboard } from "@capstan/dashboard"
import { JobSchedules, Jobs } from "capstan"
import { Layer } from "effect"

export const run = () => {
  const Server = HttpRouter.serve(Dashboard.layer({ prefix: "/ops/jobs" })).pipe(
    Layer.provide(NodeHttpServer.layer(createServer, { port: 3000 })),
    Layer.provide(AuthLive),
    Layer.provide([Jobs.layer, JobSchedules.layer]),
    Layer.provide(StoreLive)
  )
}
