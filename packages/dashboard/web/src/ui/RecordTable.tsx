/**
 * Records as rows, of which those are drawn that are seen. Each page that is scrolled to is asked for by its cursor; what
 * happens meanwhile is counted and shown when it is asked for, so that no row moves under the pointer.
 */
import { useInfiniteQuery } from "@tanstack/react-query"
import { useNavigate } from "@tanstack/react-router"
import { useVirtualizer } from "@tanstack/react-virtual"
import { useEffect, useRef, useState } from "react"
import { acts, Confirm } from "../actions.tsx"
import type { Estimated, Selection } from "../api.ts"
import { useActions } from "../commands.ts"
import { exact, plural } from "../format.ts"
import { useKeys } from "../keys.ts"
import { live } from "../live.ts"
import { pageSize, recordsQuery, useMay } from "../queries.ts"
import { type ColumnName, usualColumns } from "../search.ts"
import { columnOf } from "./columns.tsx"
import { Icon } from "./Icon.tsx"
import { Failed, Loading } from "./parts.tsx"
import { gridded, gridOf, RecordRow } from "./RecordRow.tsx"

interface Asked {
  readonly action: Estimated
  readonly where: Selection
}

export const RecordTable = (
  { actions, columns = usualColumns, empty, order = "newest", where }: {
    readonly where: Selection
    readonly order?: "newest" | "oldest"
    readonly columns?: ReadonlyArray<ColumnName>
    readonly actions: ReadonlyArray<Estimated>
    readonly empty: React.ReactNode
  }
) => {
  const navigate = useNavigate()
  const may = useMay()
  const scroller = useRef<HTMLDivElement>(null)
  const query = useInfiniteQuery(recordsQuery(where, order))
  const pages = query.data?.pages ?? []
  const rows = pages.flatMap(({ records }) => records)
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const [isAll, setAll] = useState(false)
  const [cursor, setCursor] = useState(-1)
  const [asked, setAsked] = useState<Asked>()
  const fresh = live.useFresh()
  const key = JSON.stringify([where, order])

  const letGo = () => {
    setSelected(new Set())
    setAll(false)
  }
  useEffect(() => {
    letGo()
    setCursor(-1)
    live.seen()
    scroller.current?.scrollTo({ top: 0 })
  }, [key])

  // At the top and with nothing chosen it follows by itself; else it says how much is new.
  const [isTop, setTop] = useState(true)
  // What is inside of payloads is looked for anew when somebody asks: it takes thousands of records each time.
  const isFollowing = isTop && selected.size === 0 && cursor < 0 && asked === undefined && where.payload === undefined
  const { refetch } = query
  useEffect(() => {
    if (!isFollowing || fresh.size === 0 || query.isFetching) return
    const timer = setTimeout(() => {
      live.seen()
      void refetch()
    }, 1200)
    return () => clearTimeout(timer)
  }, [isFollowing, fresh, query.isFetching, refetch])

  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => matchMedia("(min-width: 768px)").matches ? 33 : 62,
    overscan: 12,
    getItemKey: (index) => rows[index]!.id
  })
  const items = virtual.getVirtualItems()
  const last = items.at(-1)?.index ?? -1
  const { fetchNextPage, hasNextPage, isFetchingNextPage } = query
  // A page that is not full, and not the last: the store stopped looking. It goes on when it is asked to, else one filter that next
  // to nothing matches would read all records.
  const hasStopped = hasNextPage && (pages.at(-1)?.records.length ?? pageSize) < pageSize
  useEffect(() => {
    if (hasNextPage && !hasStopped && !isFetchingNextPage && last >= rows.length - 20) void fetchNextPage()
  }, [last, rows.length, hasNextPage, hasStopped, isFetchingNextPage, fetchNextPage])
  const looked = pages.reduce((sum, { looked = 0 }) => sum + looked, 0)
  const stopped = hasStopped && (
    <p role="status" className="border-t border-line bg-panel px-6 py-3 text-center text-soft">
      {looked > 0 ? `Looked at ${plural(looked, "record")}, ` : "Some records were looked at, "}
      {rows.length === 0
        ? "none of which matches"
        : `${exact(rows.length)} of which ${rows.length === 1 ? "matches" : "match"}`}.{" "}
      <button
        type="button"
        className="link"
        disabled={isFetchingNextPage}
        onClick={() =>
          void fetchNextPage()}
      >
        {isFetchingNextPage ? "Looking…" : "Go on"}
      </button>
    </p>
  )

  const toggle = (id: string) => {
    setAll(false)
    setSelected((before) => {
      const next = new Set(before)
      if (!next.delete(id)) next.add(id)
      return next
    })
  }
  const chosen = (): Selection | undefined =>
    isAll ? where : selected.size > 0
      ? { ids: [...selected].slice(0, 1000) as unknown as NonNullable<Selection["ids"]> }
      : undefined
  const ask = (action: Estimated) => {
    const one = rows[cursor]
    const where = chosen() ?? (one === undefined ? undefined : { ids: [one.id] as const })
    if (where !== undefined) setAsked({ action, where })
  }
  const move = (by: number) => {
    const next = Math.min(rows.length - 1, Math.max(0, cursor + by))
    setCursor(next)
    if (rows.length > 0) virtual.scrollToIndex(next)
  }
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    x: () => rows[cursor] !== undefined && toggle(rows[cursor].id),
    r: () => actions.includes("retry") && isAllowed("retry") && ask("retry"),
    Enter: () => rows[cursor] !== undefined && void navigate({ to: "/records/$id", params: { id: rows[cursor].id } }),
    Escape: () => {
      letGo()
      setCursor(-1)
    }
  })

  const isAllowed = (action: Estimated) => may(action, where.queue) || rows.some(({ queue }) => may(action, queue))
  const allowed = actions.filter(isAllowed)
  const many = isAll ? "all that match" : plural(selected.size, "record")
  useActions(many, selected.size > 0 || isAll ? allowed : [], ask)
  const isEverySelected = rows.length > 0 && rows.every(({ id }) => selected.has(id))

  return (
    <section className="flex min-h-0 flex-1 flex-col" aria-label="Records">
      <div className="flex min-h-[38px] flex-wrap items-center gap-2 border-y border-line bg-panel px-4 py-1 md:px-6">
        {selected.size > 0 || isAll
          ? (
            <>
              <strong>{many} selected</strong>
              {!isAll && isEverySelected && hasNextPage && (
                <button
                  type="button"
                  className="link"
                  onClick={() => setAll(true)}
                >
                  Select all that match
                </button>
              )}
              <button type="button" className="link" onClick={letGo}>Let go</button>
              <span className="flex-1" />
              {allowed.map((action) => (
                <button
                  key={action}
                  type="button"
                  className={`btn ${acts[action].isDanger === true ? "btn-danger" : ""}`}
                  onClick={() => ask(action)}
                >
                  <Icon name={acts[action].icon} />
                  {acts[action].verb}
                </button>
              ))}
            </>
          )
          : (
            <>
              <span className="text-soft">
                {query.isSuccess &&
                  `${exact(rows.length)}${
                    hasStopped
                      ? " found so far"
                      : hasNextPage
                      ? " shown, more below"
                      : rows.length === 1
                      ? " record"
                      : " records"
                  }`}
              </span>
              <span className="flex-1" />
              {!isFollowing && fresh.size > 0 && (
                <button
                  type="button"
                  className="btn"
                  onClick={() => {
                    live.seen()
                    setCursor(-1)
                    scroller.current?.scrollTo({ top: 0 })
                    void refetch()
                  }}
                >
                  {exact(fresh.size)} changed since · show
                </button>
              )}
              {allowed.length > 0 && rows.length > 0 && (
                <button
                  type="button"
                  className="btn"
                  onClick={() => setAll(true)}
                >
                  Select all that match
                </button>
              )}
            </>
          )}
      </div>
      {query.isError && rows.length === 0
        ? <Failed error={query.error} />
        : query.isPending
        ? <Loading />
        : rows.length === 0
        ? stopped || empty
        : (
          <div
            ref={scroller}
            className="min-h-0 flex-1 overflow-auto bg-panel"
            onScroll={(event) => setTop(event.currentTarget.scrollTop < 40)}
            tabIndex={0}
            role="region"
            aria-label="The list of records"
          >
            <div
              style={gridOf(columns)}
              role="table"
              aria-label="Records"
              aria-rowcount={hasNextPage ? -1 : rows.length}
            >
              <div role="rowgroup" className="sticky top-0 z-10 bg-panel max-md:sr-only">
                <div role="row" className={`grid items-center border-b border-line px-6 ${gridded}`}>
                  <span role="columnheader" className="py-1.5">
                    <input
                      type="checkbox"
                      aria-label="Select what is shown"
                      checked={isAll || isEverySelected}
                      onChange={() =>
                        isEverySelected || isAll ? letGo() : setSelected(new Set(rows.map(({ id }) => id)))}
                    />
                  </span>
                  <span role="columnheader" className="label">State</span>
                  <span role="columnheader" className="label">Job</span>
                  {columns.map((name) => (
                    <span
                      key={name}
                      role="columnheader"
                      className={`label truncate pr-3 last:pr-0 ${columnOf[name].isNumber === true ? "num" : ""}`}
                    >
                      {columnOf[name].name}
                    </span>
                  ))}
                </div>
              </div>
              <div role="rowgroup" className="relative" style={{ height: virtual.getTotalSize() }}>
                {items.map(({ index, size, start }) => (
                  <RecordRow
                    columns={columns}
                    key={rows[index]!.id}
                    index={index}
                    record={rows[index]!}
                    top={start}
                    height={size}
                    isSelected={isAll || selected.has(rows[index]!.id)}
                    isCurrent={index === cursor}
                    onToggle={() => toggle(rows[index]!.id)}
                  />
                ))}
              </div>
            </div>
          </div>
        )}
      {rows.length > 0 && stopped}
      {asked !== undefined && <Confirm {...asked} onClose={() => setAsked(undefined)} onDone={letGo} />}
    </section>
  )
}
