/** Every view is an address. What is not needed first is loaded when it is asked for. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router"
import { basePath } from "./api.ts"
import { Overview } from "./pages/Overview.tsx"
import { validate, validateMetrics } from "./search.ts"
import { NothingHere, Shell } from "./Shell.tsx"

const root = createRootRoute({ component: Shell, notFoundComponent: NothingHere })

const overview = createRoute({ getParentRoute: () => root, path: "/", component: Overview })

const records = createRoute({
  getParentRoute: () => root,
  path: "/records",
  validateSearch: validate,
  component: lazyRouteComponent(() => import("./pages/Records.tsx"), "Records")
})

const record = createRoute({
  getParentRoute: () => root,
  path: "/records/$id",
  component: lazyRouteComponent(() => import("./pages/Record.tsx"), "Record")
})

const queues = createRoute({
  getParentRoute: () => root,
  path: "/queues",
  component: lazyRouteComponent(() => import("./pages/Queues.tsx"), "Queues")
})

const dead = createRoute({
  getParentRoute: () => root,
  path: "/dead",
  validateSearch: validate,
  component: lazyRouteComponent(() => import("./pages/Dead.tsx"), "Dead")
})

const queue = createRoute({
  getParentRoute: () => root,
  path: "/queues/$queue",
  component: lazyRouteComponent(() => import("./pages/Queue.tsx"), "Queue")
})

const jobs = createRoute({
  getParentRoute: () => root,
  path: "/jobs",
  component: lazyRouteComponent(() => import("./pages/Jobs.tsx"), "Jobs")
})

const flows = createRoute({
  getParentRoute: () => root,
  path: "/flows",
  component: lazyRouteComponent(() => import("./pages/Flows.tsx"), "Flows")
})

const flow = createRoute({
  getParentRoute: () => root,
  path: "/flows/$id",
  component: lazyRouteComponent(() => import("./pages/Flow.tsx"), "Flow")
})

const schedules = createRoute({
  getParentRoute: () => root,
  path: "/schedules",
  component: lazyRouteComponent(() => import("./pages/Schedules.tsx"), "Schedules")
})

const workers = createRoute({
  getParentRoute: () => root,
  path: "/workers",
  component: lazyRouteComponent(() => import("./pages/Workers.tsx"), "Workers")
})

const errors = createRoute({
  getParentRoute: () => root,
  path: "/errors",
  component: lazyRouteComponent(() => import("./pages/Errors.tsx"), "Errors")
})

const metrics = createRoute({
  getParentRoute: () => root,
  path: "/metrics",
  validateSearch: validateMetrics,
  component: lazyRouteComponent(() => import("./pages/Metrics.tsx"), "Metrics")
})

const audit = createRoute({
  getParentRoute: () => root,
  path: "/audit",
  component: lazyRouteComponent(() => import("./pages/Audit.tsx"), "Audit")
})

const settings = createRoute({
  getParentRoute: () => root,
  path: "/settings",
  component: lazyRouteComponent(() => import("./pages/Settings.tsx"), "Settings")
})

const tree = root.addChildren([
  overview,
  records,
  record,
  queues,
  queue,
  jobs,
  flows,
  flow,
  schedules,
  workers,
  errors,
  dead,
  metrics,
  audit,
  settings
])

export const makeRouter = () =>
  createRouter({
    routeTree: tree,
    basepath: basePath === "" ? "/" : basePath,
    defaultPreload: "intent",
    scrollRestoration: true
  })

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>
  }
}
