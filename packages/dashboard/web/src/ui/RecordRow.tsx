/** One record of a list. */
import { Link } from "@tanstack/react-router"
import type { RecordSummary } from "../api.ts"
import { shortId } from "../format.ts"
import type { ColumnName } from "../search.ts"
import { columnOf } from "./columns.tsx"
import { StateMark } from "./parts.tsx"

/** The grid of a row and of the head over it. */
export const gridOf = (columns: ReadonlyArray<ColumnName>): Record<string, string> => ({
  "--columns": `28px 104px minmax(120px,1fr) ${columns.map((name) => columnOf[name].width).join(" ")}`
})

export const gridded = "md:grid-cols-[var(--columns)]"

/** On a phone a row has two lines; of the columns these stand in the second. */
const phone: Partial<Record<ColumnName, string>> = {
  gist: "max-md:order-2 max-md:col-start-2 max-md:row-start-2",
  when: "max-md:order-3 max-md:col-start-3 max-md:row-start-2 max-md:text-right max-md:text-[12px]"
}

export const RecordRow = (
  { columns, height, index, isCurrent, isSelected, onToggle, record, top }: {
    readonly record: RecordSummary
    readonly columns: ReadonlyArray<ColumnName>
    readonly index: number
    readonly top: number
    readonly height: number
    readonly isSelected: boolean
    readonly isCurrent: boolean
    readonly onToggle: () => void
  }
) => (
  <div
    role="row"
    aria-rowindex={index + 1}
    aria-selected={isSelected}
    data-current={isCurrent}
    style={{ height, transform: `translateY(${top}px)` }}
    className={`absolute inset-x-0 grid grid-cols-[28px_1fr_auto] items-center gap-x-0 border-b border-line px-4 hover:bg-raised data-[current=true]:bg-raised data-[current=true]:shadow-[inset_3px_0_0_var(--accent)] aria-selected:bg-accent/10 md:px-6 ${gridded}`}
  >
    <span role="cell">
      <input
        type="checkbox"
        aria-label={`Select ${record.tag} ${shortId(record.id)}`}
        checked={isSelected}
        onChange={onToggle}
      />
    </span>
    <span role="cell" className="max-md:order-1">
      <StateMark state={record.state} />
    </span>
    <span role="cell" className="min-w-0 truncate pr-3 max-md:order-0">
      <Link to="/records/$id" params={{ id: record.id }} className="font-medium hover:underline" title={record.id}>
        <bdi>{record.tag}</bdi>
      </Link>{" "}
      <span className="font-mono text-[11px] text-faint">{shortId(record.id)}</span>
    </span>
    {columns.map((name) => {
      const { cell, isNumber } = columnOf[name]
      return (
        <span
          key={name}
          role="cell"
          className={`min-w-0 truncate pr-3 text-soft last:pr-0 ${isNumber === true ? "num" : ""} ${
            phone[name] ?? "max-md:hidden"
          }`}
        >
          {cell(record)}
        </span>
      )
    })}
  </div>
)
