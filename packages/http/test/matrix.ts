/** Each principal times each route: what is answered, and where that is not what it should be. */
import { JobsApi, Permission } from "@capstan/http"
import { JobSchedules } from "capstan"
import { Context, Effect } from "effect"
import { changeOf, credentials, Greet, type Served, type Who } from "./harness.ts"

/** A route with a request that is right in all but who asks. */
export interface Route {
  readonly name: string
  readonly method: string
  readonly path: string
  readonly action: Permission.Action
}

export const routes: ReadonlyArray<Route> = Object.values(JobsApi.JobsApi.groups).flatMap((group) =>
  Object.values(group.endpoints).map((endpoint) => ({
    name: `${group.identifier}.${endpoint.identifier}`,
    method: endpoint.method,
    path: endpoint.path,
    action: Context.getUnsafe(endpoint.annotations, JobsApi.RouteAction)
  }))
)

/** Bodies of the changes. They are about records of the queue mail. */
const bodies: Readonly<Record<string, (where: object) => object>> = {
  "records.cancel": (where) => ({ where, reason: "r" }),
  "records.retry": (where) => ({ where }),
  "records.promote": (where) => ({ where }),
  "records.reschedule": (where) => ({ where, delay: 1000 }),
  "records.reprioritise": (where) => ({ where, priority: "high" }),
  "records.delete": (where) => ({ where }),
  "records.enqueue": () => ({ job: "Greet", payload: "{\"name\":\"c\"}" }),
  "records.edit": () => ({ id: "", payload: "{\"name\":\"b\"}" }),
  "limits.set": () => ({ of: { queue: "mail" }, settings: { concurrency: 2 } }),
  "limits.clear": () => ({ of: { queue: "mail" } }),
  "schedules.pause": () => ({ name: "hourly" }),
  "schedules.resume": () => ({ name: "hourly" }),
  "schedules.run": () => ({ name: "hourly" }),
  "schedules.remove": () => ({ name: "hourly" }),
  "queues.pause": () => ({}),
  "queues.resume": () => ({}),
  "queues.drain": () => ({}),
  "queues.purge": () => ({})
}

/** The request for a route, about one record. */
export const requestOf = (
  { method, name, path }: Route,
  id: string,
  where: object = { ids: [id] }
): readonly [path: string, init: { readonly method: string; readonly body?: string }] => [
  path.replace(":id", id).replace(":queue", "mail").replace(":name", "calls") +
  (name === "records.count" ? "?queue=mail&action=cancel" : ""),
  method === "GET"
    ? { method }
    : { method, body: JSON.stringify({ ...bodies[name]!(where), ...name === "records.edit" ? { id } : {} }) }
]

const ofAllQueues: ReadonlySet<string> = new Set(["limits.keys", "stats.metrics"])

/** What the roles promise. */
export const expected = (who: Who | "nobody", action: Permission.Action, name = ""): number => {
  if (who === "nobody") return 401
  // What is of all queues together is for who may see all of them.
  if (who === "mailAdmin" && ofAllQueues.has(name)) return 403
  // The record is of no flow: that is all that may be said.
  if (name === "insight.flow") return 404
  const role = who === "mailAdmin" ? "admin" : who
  return Permission.allows(role, action) ? 200 : 403
}

/** A schedule of the queue mail. */
export const hourly = Effect.flatMap(
  JobSchedules.JobSchedules,
  (schedules) => schedules.upsert("hourly", Greet, { every: "1 hour", payload: { name: "everybody" } })
)

/** Every cell of the matrix that is not as it should be. */
export const mismatches = (served: Served, who: ReadonlyArray<Who | "nobody">) =>
  Effect.gen(function*() {
    const wrong: Array<string> = []
    for (const route of routes) {
      for (const one of who) {
        const { id } = yield* Effect.provide(Greet.enqueue({ name: "a" }), served.context)
        yield* Effect.provide(hourly, served.context)
        const [path, init] = requestOf(route, id)
        const { status } = yield* served.request(path, {
          ...init,
          headers: {
            ...one === "nobody" ? {} : credentials(one),
            ...route.method === "GET" ? {} : changeOf(served.url)
          }
        })
        const right = expected(one, route.action, route.name)
        if (status !== right) wrong.push(`${one} ${route.name}: ${status} instead of ${right}`)
      }
    }
    return wrong
  }).pipe(Effect.orDie)
