/** A table of some dozens of rows. On a phone a row is a card: all of its cells with their names, and nothing is out of sight. */
import type { ReactNode } from "react"

export interface Column<A> {
  readonly name: ReactNode
  readonly isNumber?: boolean
  /** On a phone it has the whole width, as the first column has. */
  readonly isWide?: boolean
  /** What can be done. Its name is for who does not see the table. */
  readonly isActions?: boolean
  readonly cell: (row: A) => ReactNode
}

/** The row's own name stands alone, and what can be done is under the thumb. */
const cardCell = (isWide: boolean) =>
  `max-md:flex max-md:min-w-0 max-md:flex-col max-md:items-start max-md:border-0 max-md:p-0 max-md:text-left ${
    isWide ? "max-md:col-span-3" : ""
  }`

export const Table = <A extends object>(
  { columns, keyOf, label, rows }: {
    readonly label: string
    readonly rows: ReadonlyArray<A>
    readonly keyOf: (row: A) => string
    readonly columns: ReadonlyArray<Column<A>>
  }
) => (
  <div className="relative overflow-x-auto" tabIndex={0} role="region" aria-label={label}>
    <table className="w-full border-collapse max-md:block">
      <thead className="max-md:hidden">
        <tr>
          {columns.map(({ isActions, isNumber, name }, i) => (
            <th key={i} scope="col" className={`th ${isNumber === true ? "num" : ""}`}>
              {isActions === true ? <span className="sr-only">{name}</span> : name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody className="max-md:block">
        {rows.map((row) => (
          <tr
            key={keyOf(row)}
            className="hover:bg-raised max-md:grid max-md:grid-cols-3 max-md:gap-x-3 max-md:gap-y-2 max-md:border-line max-md:px-3 max-md:py-2.5 max-md:not-first:border-t"
          >
            {columns.map(({ cell, isActions, isNumber, isWide, name }, i) => (
              <td
                key={i}
                className={`td ${isNumber === true ? "num" : ""} ${
                  cardCell(i === 0 || isWide === true || isActions === true)
                }`}
              >
                {i > 0 && isActions !== true && <span className="label md:hidden">{name}</span>}
                {cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  </div>
)
