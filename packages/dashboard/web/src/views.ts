/** Views of the list of records that somebody gave a name: each is an address, kept in this browser. */
import { type RecordsSearch, validate } from "./search.ts"
import { cell, remember, remembered } from "./store.ts"

export interface View {
  readonly name: string
  readonly search: RecordsSearch
}

const most = 50

/** What is kept may be of another release, or of somebody's hand. */
const read = (text: string | null): ReadonlyArray<View> => {
  if (text === null) return []
  try {
    const kept: unknown = JSON.parse(text)
    if (!Array.isArray(kept)) return []
    return kept.flatMap((view) =>
      typeof view?.name === "string" && typeof view.search === "object" && view.search !== null
        ? [{ name: view.name, search: validate(view.search) }]
        : []
    )
  } catch {
    return []
  }
}

const now = cell(read(remembered("views")))

const keep = (next: ReadonlyArray<View>): void => {
  now.set(next)
  remember("views", JSON.stringify(next))
}

const keyOf = (search: RecordsSearch): string =>
  JSON.stringify(Object.entries(search).toSorted(([a], [b]) => a < b ? -1 : 1))

export const views = {
  use: now.use,
  get: now.get,
  most,
  /** One of the same name is replaced. */
  save: (name: string, search: RecordsSearch) =>
    keep(
      [...now.get().filter((view) => view.name !== name), { name, search }].slice(-most)
        .toSorted((a, b) => a.name < b.name ? -1 : 1)
    ),
  remove: (name: string) => keep(now.get().filter((view) => view.name !== name)),
  /** Whether it is what is shown. */
  isSame: (a: RecordsSearch, b: RecordsSearch) => keyOf(a) === keyOf(b)
}
