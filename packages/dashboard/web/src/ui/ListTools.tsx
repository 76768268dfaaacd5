/** What stands beside the search of the records: named views, which columns there are, and the list as a file. */
import { Link } from "@tanstack/react-router"
import { useRef, useState } from "react"
import { download, mostExported } from "../download.ts"
import { exact, plural } from "../format.ts"
import type { Format } from "../lines.ts"
import { type ColumnName, columnNames, type RecordsSearch, selectionOf, usualColumns } from "../search.ts"
import { payloads, tell } from "../store.ts"
import { views } from "../views.ts"
import { columnOf } from "./columns.tsx"
import { Icon } from "./Icon.tsx"
import { Menu } from "./Menu.tsx"

export const Views = ({ search }: { readonly search: RecordsSearch }) => {
  const kept = views.use()
  const [name, setName] = useState("")
  const current = kept.find((view) => views.isSame(view.search, search))
  return (
    <Menu label="Views" title={current?.name ?? "Views"} icon="bookmark">
      {(close) => (
        <>
          {kept.length === 0
            ? (
              <p className="px-1 pb-2 text-soft">
                A view is a search with its columns, under a name, kept in this browser.
              </p>
            )
            : (
              <ul className="mb-2 max-h-64 overflow-y-auto border-b border-line pb-2">
                {kept.map((view) => (
                  <li key={view.name} className="flex items-center rounded-md hover:bg-raised">
                    <Link
                      to="/records"
                      search={view.search}
                      className="min-w-0 flex-1 truncate px-2 py-1"
                      aria-current={view === current ? "true" : undefined}
                      onClick={close}
                    >
                      <bdi>{view.name}</bdi>
                    </Link>
                    <button
                      type="button"
                      className="px-2 py-1 text-faint hover:text-dead"
                      aria-label={`Delete the view ${view.name}`}
                      onClick={() => views.remove(view.name)}
                    >
                      <Icon name="bin" size={14} />
                    </button>
                  </li>
                ))}
              </ul>
            )}
          <form
            className="flex gap-1"
            onSubmit={(event) => {
              event.preventDefault()
              if (name.trim() === "") return
              views.save(name.trim(), search)
              tell(`The view ${name.trim()} is kept in this browser`)
              setName("")
              close()
            }}
          >
            <input
              className="field min-w-0 flex-1"
              aria-label="Name of this view"
              placeholder="name of this view"
              maxLength={60}
              required
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
            <button type="submit" className="btn h-[30px]">Save</button>
          </form>
        </>
      )}
    </Menu>
  )
}

export const Columns = (
  { chosen, onChoose }: {
    readonly chosen: ReadonlyArray<ColumnName>
    /** `undefined`: the usual ones. */
    readonly onChoose: (columns: ReadonlyArray<ColumnName> | undefined) => void
  }
) => (
  <Menu label="Columns" icon="columns">
    {() => (
      <>
        {columnNames.map((name) => (
          <label key={name} className="flex items-center gap-2 rounded-md px-2 py-1 hover:bg-raised">
            <input
              type="checkbox"
              checked={chosen.includes(name)}
              onChange={({ target }) =>
                onChoose(columnNames.filter((one) =>
                  one === name ? target.checked : chosen.includes(one)
                ))}
            />
            {columnOf[name].name}
          </label>
        ))}
        <button
          type="button"
          className="btn mt-2 w-full justify-center"
          disabled={chosen.join() === usualColumns.join()}
          onClick={() => onChoose(undefined)}
        >
          As usual
        </button>
      </>
    )}
  </Menu>
)

export const Export = ({ search }: { readonly search: RecordsSearch }) => {
  const isHidden = payloads.useHidden()
  const [progress, setProgress] = useState<readonly [many: number, looked: number]>()
  const running = useRef<AbortController>(undefined)
  const run = async (format: Format) => {
    const control = running.current = new AbortController()
    setProgress([0, 0])
    try {
      const done = await download({
        where: selectionOf(search),
        order: search.order ?? "newest",
        format,
        hasPayload: !isHidden,
        onProgress: (many, looked) => setProgress([many, looked]),
        signal: control.signal
      })
      tell(
        `${plural(done.many, "record")} exported${done.isCut ? ": there are more than one file takes" : ""}`,
        done.isCut
      )
    } catch (error) {
      if (!control.signal.aborted) tell(`Export: ${error instanceof Error ? error.message : String(error)}`, true)
    } finally {
      setProgress(undefined)
    }
  }
  return (
    <Menu label="Export" icon="save">
      {() => (
        <>
          <p className="px-1 pb-2 text-soft">
            What matches now, up to {exact(mostExported)} records.{" "}
            {isHidden ? "Payloads are hidden, and left out." : "Payloads are cut as in the list, and masked."}{" "}
            <code>capstan export</code> takes all.
          </p>
          {progress === undefined
            ? (
              <div className="flex gap-1">
                <button type="button" className="btn flex-1 justify-center" onClick={() => void run("ndjson")}>
                  NDJSON
                </button>
                <button type="button" className="btn flex-1 justify-center" onClick={() => void run("csv")}>CSV</button>
              </div>
            )
            : (
              <div className="flex items-center gap-2">
                <span role="status" className="flex-1">
                  {progress[1] > progress[0]
                    ? `${exact(progress[0])} of ${exact(progress[1])} match…`
                    : `${exact(progress[0])} read…`}
                </span>
                <button type="button" className="btn" onClick={() => running.current?.abort()}>Stop</button>
              </div>
            )}
        </>
      )}
    </Menu>
  )
}
