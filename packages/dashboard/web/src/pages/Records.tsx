import { Link, useNavigate, useSearch } from "@tanstack/react-router"
import { useMemo } from "react"
import { type State, states } from "../api.ts"
import { type Data, typedOf, wordOf } from "../data.ts"
import { leavesOf, rootOf } from "../form.ts"
import { count, visible } from "../format.ts"
import { useDeclarations, useStats } from "../queries.ts"
import { columnsOf, isAlone, type Place, type RecordsSearch, selectionOf, usualColumns, words } from "../search.ts"
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
  const isCounted = search.data === undefined &&
    words.every((word) => word === "queue" || search[word] === undefined)
  const places = useMemo(
    () =>
      declarations?.jobs.flatMap(({ job, payload }) =>
        leavesOf(rootOf(payload)).map((field): Place => ({
          job,
          pointer: field.pointer,
          isText: field.kind === "text",
          choices: field.kind === "choice"
            ? field.choices as Place["choices"]
            : field.kind === "boolean"
            ? [true, false]
            : []
        }))
      ) ?? [],
    [declarations]
  )
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
            workers: stats?.workers.map(({ worker }) => worker) ?? [],
            places
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
      {search.data !== undefined && !isAlone(search) && (
        <Inside
          data={search.data}
          onChange={(data) => go({ ...search, data })}
        />
      )}
      {isAlone(search)
        ? <Alone search={search} jobs={declarations?.jobs.map(({ job }) => job) ?? []} />
        : (
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
        )}
    </div>
  )
}

/** How what is inside of payloads is looked for. What was typed as a number may be text in them. */
const Inside = ({ data, onChange }: { readonly data: Data; readonly onChange: (data: Data) => void }) => (
  <div className="flex flex-wrap items-center gap-x-3 px-4 pb-2 text-[12px] text-soft md:px-6">
    <span>
      Payloads have no index: those that the other conditions leave are looked into, 10,000 at a time.
    </span>
    {Object.entries(data).flatMap(([pointer, value]) =>
      typeof value === "string" ? [] : [
        <span key={pointer}>
          <code>
            <bdi>{visible(wordOf(pointer))}</bdi>
          </code>{" "}
          is {value === null ? "" : `the ${typeof value} `}
          <code>{String(value)}</code>.{" "}
          <button type="button" className="link" onClick={() => onChange({ ...data, [pointer]: String(value) })}>
            Look for the text {typedOf(String(value))}
          </button>
        </span>
      ]
    )}
  </div>
)

/** A search that would look into all payloads of the store. */
const Alone = ({ jobs, search }: { readonly search: RecordsSearch; readonly jobs: ReadonlyArray<string> }) => (
  <Empty title="Among which records?">
    <p>
      Payloads have no index, so they are looked into among what another condition leaves, such as <code>job:</code>,
      {" "}
      <code>queue:</code>, <code>state:</code> or <code>since:</code>.
    </p>
    <p className="mt-3 flex flex-wrap justify-center gap-2">
      {[["1h", "Of the last hour"], ["1d", "Of the last day"]].map(([since, text]) => (
        <Link key={since} to="/records" search={{ ...search, since: since! }} className="btn">{text}</Link>
      ))}
      {jobs.slice(0, 6).map((job) => (
        <Link key={job} to="/records" search={{ ...search, job }} className="btn">
          <bdi>{visible(job)}</bdi>
        </Link>
      ))}
    </p>
  </Empty>
)
