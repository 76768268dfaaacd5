/** Every view is an address. What is not needed first is loaded when it is asked for. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router"
import { basePath } from "./api.ts"
import { Overview } from "./pages/Overview.tsx"
import { validate } from "./search.ts"
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

const tree = root.addChildren([overview, records, record, queues, dead])

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
