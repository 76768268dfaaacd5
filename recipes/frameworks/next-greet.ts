// app/greet/route.ts
import { Greet, runtime } from "../capstan/api/[...path]/jobs.ts"

export const POST = async (request: Request) => {
  const { name } = await request.json()
  const { id } = await runtime.runPromise(Greet.enqueue({ name }))
  return Response.json({ id }, { status: 202 })
}
