/** The API as the page speaks to it: the types of the contract, and fetch. Nothing of it is at run time but the paths. */
import type { ApiInsight, ApiModel, ApiSettings, Permission } from "@capstan/http"

export { states } from "./states.ts"

export type State = typeof ApiModel.State.Type
export type Stats = typeof ApiModel.Stats.Type
export type QueueStats = Stats["queues"][number]
export type Page = typeof ApiModel.Page.Type
export type RecordSummary = typeof ApiModel.RecordSummary.Type
export type JobRecord = typeof ApiModel.Record.Type
export type Attempt = typeof ApiModel.Attempt.Type
export type Failure = typeof ApiModel.Failure.Type
export type Excerpt = typeof ApiModel.Excerpt.Type
export type Selection = typeof ApiModel.Selection.Type
export type Estimate = typeof ApiModel.Estimate.Type
export type Estimated = (typeof ApiModel.EstimateQuery)["action"]["Type"]
export type Counts = typeof ApiModel.Counts.Type
export type Switched = typeof ApiModel.Switched.Type
export type Me = typeof ApiModel.Me.Type
export type Delta = typeof ApiModel.Delta.Type
export type BlockedReason = typeof ApiModel.BlockedReason.Type
export type DeadReason = typeof ApiModel.DeadReason.Type
export type Action = Permission.Action
export type Series = typeof ApiInsight.Series.Type
export type History = typeof ApiInsight.History.Type
export type JobsSeen = typeof ApiInsight.JobsSeen.Type
export type ErrorGroups = typeof ApiInsight.ErrorGroups.Type
export type FlowsSeen = typeof ApiInsight.FlowsSeen.Type
export type FlowView = typeof ApiInsight.FlowView.Type
export type FlowNode = FlowView["nodes"][number]
export type OnFailure = NonNullable<FlowNode["after"]>[string]
export type Audit = typeof ApiInsight.Audit.Type
export type Declarations = typeof ApiInsight.Declarations.Type
export type Enqueued = typeof ApiInsight.Enqueued.Type
export type Edited = typeof ApiInsight.Edited.Type
export type Limit = typeof ApiSettings.Limit.Type
export type Limits = typeof ApiSettings.Limits.Type
export type LimitOf = typeof ApiSettings.LimitOf.Type
export type LimitSettings = typeof ApiSettings.LimitSettings.Type
export type Keys = typeof ApiSettings.Keys.Type
export type Schedule = typeof ApiSettings.Schedule.Type
export type Schedules = typeof ApiSettings.Schedules.Type
export type Run = typeof ApiSettings.Run.Type

/** Below the page, wherever that is. */
const api = new URL("api/", document.baseURI)

/** The page's own path, as the router wants it. */
export const basePath = new URL(document.baseURI).pathname.replace(/\/$/, "")

export const urlOf = (path: string): string => new URL(path.replace(/^\//, ""), api).href

interface Issue {
  readonly pointer: string
  readonly message: string
}

/** What the API did not do, in its own words. */
export class ApiFailure extends Error {
  readonly status: number
  readonly tag: string
  /** What is wrong with a payload, and where. */
  readonly issues: ReadonlyArray<Issue>

  constructor(status: number, tag: string, detail: string, issues: ReadonlyArray<Issue> = []) {
    super(detail)
    this.status = status
    this.tag = tag
    this.issues = issues
  }

  /** The server did not answer, or its store did not. */
  get isAway(): boolean {
    return this.status === 0 || this.status >= 500
  }
}

const ask = async <A>(path: string, init: RequestInit): Promise<A> => {
  let response: Response
  try {
    response = await fetch(urlOf(path), { ...init, credentials: "same-origin" })
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error
    throw new ApiFailure(0, "NoAnswer", "the server does not answer")
  }
  const text = await response.text()
  const isJson = response.headers.get("content-type")?.startsWith("application/json") === true
  if (response.ok) return (isJson ? JSON.parse(text) : text) as A
  const body = isJson
    ? JSON.parse(text) as { readonly _tag?: string; readonly detail?: string; readonly issues?: ReadonlyArray<Issue> }
    : {}
  throw new ApiFailure(
    response.status,
    body._tag ?? "Failed",
    body.detail ?? (response.status === 404 ? "there is nothing here" : `the server answered ${response.status}`),
    body.issues
  )
}

type Query = Readonly<Record<string, string | number | ReadonlyArray<string> | undefined>>

const withQuery = (path: string, query: Query): string => {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue
    for (const one of Array.isArray(value) ? value : [value]) params.append(name, String(one))
  }
  const text = params.toString()
  return text === "" ? path : `${path}?${text}`
}

export const get = <A>(path: string, query: Query = {}, signal?: AbortSignal): Promise<A> =>
  ask(withQuery(path, query), signal === undefined ? {} : { signal })

/** A change has the header that another site cannot send. */
export const post = <A>(path: string, body: unknown = {}): Promise<A> =>
  ask(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-capstan-request": "1" },
    body: JSON.stringify(body)
  })

/** Conditions as a query has them. */
export const queryOf = ({ payload, ...where }: Selection): Query =>
  payload === undefined ? where : { ...where, payload: JSON.stringify(payload) }
