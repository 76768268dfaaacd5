/** A table of some dozens of rows, which scrolls sideways where it has to. */
import type { ReactNode } from "react"

export interface Column<A> {
  readonly name: ReactNode
  readonly isNumber?: boolean
  readonly cell: (row: A) => ReactNode
}

export const Table = <A extends object>(
  { columns, keyOf, label, rows }: {
    readonly label: string
    readonly rows: ReadonlyArray<A>
    readonly keyOf: (row: A) => string
    readonly columns: ReadonlyArray<Column<A>>
  }
) => (
  <div className="relative overflow-x-auto" tabIndex={0} role="region" aria-label={label}>
    <table className="w-full border-collapse">
      <thead>
        <tr>
          {columns.map(({ isNumber, name }, i) => (
            <th key={i} scope="col" className={`th ${isNumber === true ? "num" : ""}`}>{name}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)} className="hover:bg-raised">
            {columns.map(({ cell, isNumber }, i) => (
              <td key={i} className={`td ${isNumber === true ? "num" : ""}`}>{cell(row)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  </div>
)
