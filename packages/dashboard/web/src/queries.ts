/** What the pages read: one query each, by the words of the API. */
import { infiniteQueryOptions, keepPreviousData, queryOptions, useQuery } from "@tanstack/react-query"
import * as Api from "./api.ts"
import { usePolling } from "./live.ts"
import { heardNow, nowOf } from "./store.ts"

const isLive = { live: true }

export const statsQuery = queryOptions({
  queryKey: ["stats"],
  queryFn: async ({ signal }) => {
    const stats = await Api.get<Api.Stats>("/stats", {}, signal)
    heardNow(stats.now)
    return stats
  },
  meta: isLive
})

export const useStats = () => useQuery({ ...statsQuery, refetchInterval: usePolling(3000) })

export const useMe = () => useQuery({ queryKey: ["me"], queryFn: () => Api.get<Api.Me>("/me"), staleTime: 60_000 })

/** Whether who looks may do something, on a queue or on all of them. The server decides again. */
export const useMay = () => {
  const { data } = useMe()
  return (action: Api.Action, queue?: string): boolean =>
    data !== undefined &&
    (data.everywhere.includes(action) || (queue !== undefined && (data.queues[queue]?.includes(action) ?? false)))
}

export const pageSize = 100

export const recordsQuery = (where: Api.Selection, order: "newest" | "oldest") =>
  infiniteQueryOptions({
    queryKey: ["records", where, order],
    queryFn: ({ pageParam, signal }) =>
      Api.get<Api.Page>("/records", { ...Api.queryOf(where), order, limit: pageSize, cursor: pageParam }, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: Api.Page) => page.cursor,
    // What is inside of payloads is looked for among thousands of records.
    refetchOnWindowFocus: where.payload === undefined,
    placeholderData: keepPreviousData
  })

export const recordQuery = (id: string, maxText?: number) =>
  queryOptions({
    queryKey: ["record", id, maxText],
    queryFn: ({ signal }) =>
      Api.get<Api.JobRecord>(`/records/${encodeURIComponent(id)}`, maxText === undefined ? {} : { maxText }, signal),
    meta: isLive,
    placeholderData: keepPreviousData
  })

export const estimateQuery = (action: Api.Estimated, where: Api.Selection) =>
  queryOptions({
    queryKey: ["estimate", action, where],
    queryFn: ({ signal }) => Api.get<Api.Estimate>("/records/count", { ...Api.queryOf(where), action }, signal),
    gcTime: 0,
    staleTime: 0
  })

/** Something that is read as a whole, and again while one looks at it. */
const usePolled = <A>(
  path: string,
  every: number | ((read: A) => number),
  query: Readonly<Record<string, string>> = {}
) => {
  const turn = usePolling(1)
  return useQuery({
    queryKey: [path, query],
    queryFn: ({ signal }) => Api.get<A>(path, query, signal),
    refetchInterval: ({ state: { data } }) =>
      turn !== false && turn * (typeof every === "number" ? every : data === undefined ? 3000 : every(data)),
    placeholderData: keepPreviousData
  })
}

export const useSeries = (queue?: string) =>
  usePolled<Api.Series>("/series", 5000, queue === undefined ? {} : { queue })
/** Of a stretch of time, in whole minutes: one that is over is read once. */
export const useHistory = ({ before, from }: { readonly from: number; readonly before: number }, queue?: string) =>
  usePolled<Api.History>(
    "/history",
    ({ before }) => before < nowOf() ? 60_000 : 5000,
    { from: String(from), before: String(before), ...queue === undefined ? {} : { queue } }
  )
export const useJobsSeen = () => usePolled<Api.JobsSeen>("/jobs", 5000)
export const useErrorGroups = () => usePolled<Api.ErrorGroups>("/errors", 5000)
export const useFlows = () => usePolled<Api.FlowsSeen>("/flows", 5000)

/** A large one is read in many pages by the server, which keeps it for ten seconds. */
export const useFlow = (id: string) =>
  usePolled<Api.FlowView>(
    `/flows/${encodeURIComponent(id)}`,
    ({ counts }) => Api.states.reduce((sum, state) => sum + counts[state], 0) < 1000 ? 3000 : 12_000
  )
export const useLimits = () => usePolled<Api.Limits>("/limits", 10_000)
export const useKeysOf = (limit: string) => usePolled<Api.Keys>(`/limits/${encodeURIComponent(limit)}/keys`, 3000)
export const useAudit = () => usePolled<Api.Audit>("/audit", 5000)
export const useDeclarations = () =>
  useQuery({
    queryKey: ["declarations"],
    queryFn: ({ signal }) => Api.get<Api.Declarations>("/declarations", {}, signal),
    staleTime: Infinity
  })

/** By the hundred; a store has some, not millions. */
const schedulesFrom = async (
  after: string | undefined,
  before: ReadonlyArray<Api.Schedule>,
  signal: AbortSignal
): Promise<ReadonlyArray<Api.Schedule>> => {
  const page: Api.Schedules = await Api.get("/schedules", { after }, signal)
  const all = [...before, ...page.schedules]
  return page.after === undefined || all.length >= 2000 ? all : schedulesFrom(page.after, all, signal)
}

export const useSchedules = () =>
  useQuery({
    queryKey: ["schedules"],
    queryFn: ({ signal }) => schedulesFrom(undefined, [], signal),
    refetchInterval: usePolling(5000),
    placeholderData: keepPreviousData
  })
