/**
 * The dashboard: one page for whoever is on call, with the API that it speaks to.
 *
 * It does what the API allows to who asks, and nothing else: whoever may not act sees no buttons, and a request without
 * them is refused all the same.
 *
 * @since 0.1.0
 */
import { type Auth, JobsHttp, Page } from "@capstan/http"
import type { Jobs, JobSchedules } from "capstan"
import type * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { files, index } from "./internal/files.ts"

/**
 * How it is mounted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends JobsHttp.Options {
  /**
   * The path that the page is under, as in `/ops/jobs`. The API is below it, under `api`.
   *
   * @default "/capstan"
   */
  readonly prefix?: `/${string}` | undefined
  /**
   * Whether the charts show what was before somebody looked.
   *
   * @default true
   */
  readonly watch?: boolean | undefined
}

/**
 * The page and the API, for `HttpRouter.serve` or beside routes of your own.
 *
 * **Example**
 *
 * ```ts
 * const Server = HttpRouter.serve(Dashboard.layer({ prefix: "/ops/jobs" })).pipe(
 *   Layer.provide(NodeHttpServer.layer(createServer, { port: 3000 })),
 *   Layer.provide(AuthLive),
 *   Layer.provide([Jobs.layer, JobSchedules.layer]),
 *   Layer.provide(StoreLive)
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  { prefix = "/capstan", ...options }: Options = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | Jobs.Jobs | JobSchedules.JobSchedules | Auth.Auth> => {
  const base = prefix.replace(/\/$/, "")
  return Layer.mergeAll(
    Page.layer({ prefix, files: files(), index: index() }),
    JobsHttp.layer({ watch: true, ...options, prefix: `${base}/api` as `/${string}` })
  )
}
