/** One field for all conditions, as words: `job:SendMail queue:mail`. `/` leads here. */
import { useEffect, useId, useRef, useState } from "react"
import { useKeys } from "../keys.ts"
import { asDeclared, fromText, type Known, offersOf, type RecordsSearch, toText } from "../search.ts"
import { Icon } from "./Icon.tsx"

/** Room for the next word. */
const spaced = (text: string): string => text === "" ? "" : `${text} `

export const Search = (
  { known, onSearch, search }: {
    readonly search: RecordsSearch
    readonly known: Known
    readonly onSearch: (search: RecordsSearch) => void
  }
) => {
  const shown = toText(search)
  const [typed, setTyped] = useState(shown)
  const [wrong, setWrong] = useState<string>()
  const [chosen, setChosen] = useState(-1)
  const [isOpen, setOpen] = useState(false)
  const input = useRef<HTMLInputElement>(null)
  const list = useId()
  useEffect(() => setTyped(spaced(shown)), [shown])
  useKeys({ "/": () => input.current?.focus() })

  const start = typed.slice(0, typed.lastIndexOf(" ") + 1)
  const word = typed.slice(start.length)
  const offers = offersOf(start, word, known).slice(0, 9)
  const isOffering = isOpen && offers.length > 0 && !(offers.length === 1 && offers[0] === word)

  /** Whether it was understood. */
  const apply = (text: string): boolean => {
    const { search, wrong } = fromText(text)
    setWrong(wrong)
    setOpen(false)
    if (wrong !== undefined) return false
    const next = asDeclared(search, known)
    // What is shown elsewhere, as the state is by the tabs, leaves the field.
    setTyped(spaced(toText(next)))
    onSearch(next)
    return true
  }
  const take = (offer: string) => {
    const next = start + offer
    setChosen(-1)
    if (offer.endsWith(":") || offer === "data.") return setTyped(next)
    setTyped(`${next} `)
    apply(next)
  }
  return (
    <div className="relative min-w-0 flex-1 max-md:basis-full">
      <span className="pointer-events-none absolute top-[7px] left-2.5 text-faint">
        <Icon name="search" />
      </span>
      <input
        ref={input}
        type="search"
        role="combobox"
        aria-expanded={isOffering}
        aria-controls={list}
        aria-autocomplete="list"
        aria-invalid={wrong !== undefined}
        aria-activedescendant={isOffering && chosen >= 0 ? `${list}-${chosen}` : undefined}
        aria-label="Search records"
        placeholder="job: queue: tag: error: since: data.path: …"
        className="field w-full pl-8 font-mono text-[12px]"
        value={typed}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onChange={(event) => {
          setTyped(event.target.value)
          setChosen(-1)
          setOpen(true)
          setWrong(undefined)
          if (event.target.value === "") apply("")
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape") return input.current?.blur()
          if (event.key === "Enter") {
            if (isOffering && chosen >= 0) return take(offers[chosen]!)
            // The keys of the list are next: `/` leads back.
            return apply(typed) && input.current?.blur()
          }
          if (!isOffering) return
          const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0
          if (by !== 0) {
            event.preventDefault()
            setChosen((chosen + by + offers.length) % offers.length)
          } else if (event.key === "Tab" && chosen >= 0) {
            event.preventDefault()
            take(offers[chosen]!)
          }
        }}
      />
      {wrong !== undefined && (
        <p role="alert" className="absolute top-full left-0 z-20 mt-1 rounded bg-panel px-2 py-1 text-dead shadow">
          {wrong}
        </p>
      )}
      {isOffering && (
        <ul
          id={list}
          role="listbox"
          aria-label="Completions"
          className="panel absolute top-full left-0 z-20 mt-1 min-w-48 py-1 shadow-lg"
        >
          {offers.map((offer, i) => (
            <li
              key={offer}
              id={`${list}-${i}`}
              role="option"
              aria-selected={i === chosen}
              className="cursor-pointer px-3 py-1 font-mono text-[12px] hover:bg-raised aria-selected:bg-raised"
              onMouseDown={(event) => {
                event.preventDefault()
                take(offer)
              }}
            >
              {offer}
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}
