import { JobsHttp } from "@capstan/http"
import { Hono } from "./client/index.ts"
import { Greet, runtime, services } from "./jobs.ts"

const { handler } = JobsHttp.webHandler(services, { memoMap: runtime.memoMap })

export const app = new Hono()

app.all("/capstan/api/*", (context) => handler(context.req.raw))

app.post("/greet", async (context) => {
  const { name } = await context.req.json<{ name: string }>()
  const { id } = await runtime.runPromise(Greet.enqueue({ name }))
  return context.json({ id }, 202)
})
