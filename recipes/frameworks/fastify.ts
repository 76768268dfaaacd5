import { fastify } from "./client/index.ts"
import { Greet, JobsListener, runtime } from "./jobs.ts"

const jobs = await runtime.runPromise(JobsListener)

export const app = fastify()

app.register(async (api) => {
  // It reads bodies itself, and answers by itself.
  api.removeAllContentTypeParsers()
  api.addContentTypeParser("*", (_request, _body, done) => done(null))
  api.all("/capstan/api/*", (request, reply) => {
    reply.hijack()
    jobs(request.raw, reply.raw)
  })
})

app.post<{ Body: { name: string } }>("/greet", async (request, reply) => {
  const { id } = await runtime.runPromise(Greet.enqueue({ name: request.body.name }))
  return reply.code(202).send({ id })
})
