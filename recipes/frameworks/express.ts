import { express } from "./client/index.ts"
import { Greet, JobsListener, runtime } from "./jobs.ts"

const jobs = await runtime.runPromise(JobsListener)

export const app = express()

// Before whatever parses bodies: it reads them itself.
app.use((request, response, next) => request.path.startsWith("/capstan/api/") ? jobs(request, response) : next())
app.use(express.json())

app.post("/greet", async (request, response) => {
  const { id } = await runtime.runPromise(Greet.enqueue({ name: request.body.name }))
  response.status(202).json({ id })
})
