// app/capstan/api/[...path]/route.ts
import { JobsHttp } from "@capstan/http"
import { runtime, services } from "./jobs.ts"

const { handler } = JobsHttp.webHandler(services, { memoMap: runtime.memoMap })

export const dynamic = "force-dynamic"
export const GET = handler
export const POST = handler
