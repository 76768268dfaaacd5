import { useNavigate, useSearch } from "@tanstack/react-router"
import { type State, states } from "../api.ts"
import { count } from "../format.ts"
import { useDeclarations, useStats } from "../queries.ts"
import { columnsOf, type RecordsSearch, selectionOf, usualColumns, words } from "../search.ts"
import { Columns, Export, Views } from "../ui/ListTools.tsx"
import { Empty } from "../ui/parts.tsx"
import { RecordTable } from "../ui/RecordTable.tsx"
import { Search } from "../ui/Search.tsx"

export const Records = () => {
  const search = useSearch({ from: "/records" })
  const navigate = useNavigate({ from: "/records" })
  const { data: stats } = useStats()
  const { data: declarations } = useDeclarations()
  const go = (next: RecordsSearch) => void navigate({ to: "/records", search: next })

  /** The store keeps counts by queue and state; of anything else it would have to look. */
  const isCounted = words.every((word) => word === "queue" || search[word] === undefined)
  const countOf = (state: State | undefined): number | undefined =>
    stats === undefined || !isCounted ? undefined : stats.queues
      .filter(({ queue }) => search.queue === undefined || queue === search.queue)
      .reduce(
        (sum, { counts }) =>
          sum + (state === undefined ? states.reduce((all, one) => all + counts[one], 0) : counts[state]),
        0
      )
  const { state: _, ...stateless } = search
  const columns = columnsOf(search.columns) ?? usualColumns
  const tabs: ReadonlyArray<State | undefined> = [undefined, ...states]
  return (
    <div className="flex h-full flex-col">
      <h1 className="sr-only">Records</h1>
      <div className="flex flex-wrap items-center gap-2 px-4 pt-3 pb-2 md:px-6">
        <Search
          search={search}
          known={{
            queues: stats?.queues.map(({ queue }) => queue) ?? [],
            jobs: declarations?.jobs.map(({ job }) => job) ?? [],
            workers: stats?.workers.map(({ worker }) => worker) ?? []
          }}
          onSearch={(next) =>
            go({
              ...search.state === undefined ? {} : { state: search.state },
              ...search.order === undefined ? {} : { order: search.order },
              ...search.columns === undefined ? {} : { columns: search.columns },
              ...next
            })}
        />
        <label className="flex items-center gap-1.5">
          <span className="sr-only">Order</span>
          <select
            className="field"
            value={search.order ?? "newest"}
            onChange={(event) => {
              const { order: _, ...rest } = search
              go(event.target.value === "oldest" ? { ...rest, order: "oldest" } : rest)
            }}
          >
            <option value="newest">Newest first</option>
            <option value="oldest">Oldest first</option>
          </select>
        </label>
        <Views search={search} />
        <div className="max-md:hidden">
          <Columns
            chosen={columns}
            onChoose={(next) => {
              const { columns: _, ...rest } = search
              go(next === undefined || next.join() === usualColumns.join() ? rest : { ...rest, columns: next.join() })
            }}
          />
        </div>
        <Export search={search} />
      </div>
      <div role="group" aria-label="State" className="flex shrink-0 gap-0.5 overflow-x-auto px-3 pb-2 md:px-5">
        {tabs.map((state) => {
          const number = countOf(state)
          return (
            <button
              key={state ?? "all"}
              type="button"
              aria-pressed={search.state === state}
              className="flex shrink-0 items-center gap-1.5 rounded-md px-2 py-1 text-soft hover:bg-raised aria-pressed:bg-raised aria-pressed:font-medium aria-pressed:text-ink"
              onClick={() => go(state === undefined ? stateless : { ...search, state })}
            >
              {state ?? "all"}
              {number !== undefined && <span className="text-[11.5px] text-faint">{count(number)}</span>}
            </button>
          )
        })}
      </div>
      <RecordTable
        where={selectionOf(search)}
        columns={columns}
        order={search.order ?? "newest"}
        actions={["retry", "promote", "reschedule", "reprioritise", "cancel", "delete"]}
        empty={
          <Empty title={Object.keys(search).length === 0 ? "The store has no records" : "No record matches"}>
            {Object.keys(search).length === 0
              ? "They appear here as soon as a job is enqueued."
              : <button type="button" className="link" onClick={() => go({})}>Show all records</button>}
          </Empty>
        }
      />
    </div>
  )
}
