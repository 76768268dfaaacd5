/** What stands around every page: where one can go, whether the store is there, and what came of the last action. */
import { Link, Outlet, useLocation } from "@tanstack/react-router"
import { lazy, Suspense, useEffect, useRef, useState } from "react"
import { ApiFailure } from "./api.ts"
import { count, plural } from "./format.ts"
import { useKeys } from "./keys.ts"
import { live } from "./live.ts"
import { useStats } from "./queries.ts"
import { payloads, theme, toasts } from "./store.ts"
import { Icon, type IconName } from "./ui/Icon.tsx"

const palette = () => import("./ui/Palette.tsx")
const Palette = lazy(async () => ({ default: (await palette()).Palette }))
/** Then what is seen first is there. Who types right after the key that opens it would lose letters while it is loaded. */
const paletteAfter = 1500

const places: ReadonlyArray<readonly [to: string, name: string, icon: IconName]> = [
  ["/", "Overview", "gauge"],
  ["/records", "Records", "list"],
  ["/queues", "Queues", "lanes"],
  ["/jobs", "Jobs", "jobs"],
  ["/flows", "Flows", "flow"],
  ["/schedules", "Schedules", "clock"],
  ["/workers", "Workers", "workers"],
  ["/errors", "Errors", "errors"],
  ["/dead", "Dead letters", "dead"],
  ["/metrics", "Metrics", "chart"],
  ["/audit", "Audit", "audit"],
  ["/settings", "Settings", "gear"]
]

export const Shell = () => {
  const [isHelp, setHelp] = useState(false)
  const [isPalette, setPalette] = useState(false)
  useKeys({ "?": () => setHelp((open) => !open) })
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return
      event.preventDefault()
      if (document.querySelector("dialog[open]") === null) setPalette(true)
    }
    addEventListener("keydown", press)
    return () => removeEventListener("keydown", press)
  }, [])
  useEffect(() => {
    const timer = setTimeout(() => void palette(), paletteAfter)
    return () => clearTimeout(timer)
  }, [])
  const path = useLocation({ select: ({ pathname }) => pathname })
  const { data: stats } = useStats()
  const dead = stats?.queues.reduce((sum, { counts }) => sum + counts.dead, 0) ?? 0
  const bar = useRef<HTMLDivElement>(null)
  // On a phone the places are wider than it: the one where one is comes into sight.
  useEffect(() => {
    bar.current?.querySelector("[aria-current=page]")?.scrollIntoView({ block: "nearest", inline: "center" })
  }, [path, dead > 0])
  return (
    <div className="flex h-full flex-col md:flex-row">
      <a href="#main" className="sr-only focus:not-sr-only focus:absolute focus:z-20 focus:bg-panel focus:p-2">
        Skip to the page
      </a>
      <nav
        aria-label="Pages"
        className="flex shrink-0 items-center gap-1 border-b border-line bg-panel px-2 md:w-48 md:flex-col md:items-stretch md:border-r md:border-b-0 md:px-2 md:py-3"
      >
        <Link to="/" className="flex items-center gap-2 px-2 py-2 font-semibold md:mb-2" aria-label="Capstan, overview">
          <img src="./icon.svg" alt="" width={18} height={18} />
          <span className="hidden text-[14px] sm:inline">Capstan</span>
        </Link>
        <button
          type="button"
          className="btn btn-ghost px-2 text-soft md:mb-2 md:justify-start md:border-line"
          aria-keyshortcuts="Control+K Meta+K"
          onClick={() => setPalette(true)}
        >
          <Icon name="search" />
          <span className="flex-1 text-left font-normal max-md:sr-only">Go to…</span>
          <kbd className="kbd max-md:hidden">{isApple ? "⌘K" : "Ctrl K"}</kbd>
        </button>
        <div ref={bar} className="flex min-w-0 flex-1 gap-0.5 overflow-x-auto md:flex-none md:flex-col">
          {places.map(([to, name, icon]) => (
            <Link
              key={to}
              to={to}
              activeOptions={{ exact: to === "/", includeSearch: false }}
              className="flex shrink-0 items-center gap-2 rounded-md px-2 py-1.5 text-soft hover:bg-raised hover:text-ink aria-[current=page]:bg-raised aria-[current=page]:font-medium aria-[current=page]:text-ink"
            >
              <Icon name={icon} />
              <span className="whitespace-nowrap max-sm:text-[12px]">{name}</span>
              {to === "/dead" && dead > 0 && <DeadCount dead={dead} />}
            </Link>
          ))}
        </div>
        <div className="hidden flex-1 md:block" />
        <Foot onHelp={() => setHelp(true)} />
      </nav>
      <div className="flex min-h-0 min-w-0 flex-1 flex-col">
        <Away />
        <main id="main" tabIndex={-1} className="min-h-0 flex-1 overflow-y-auto focus:outline-none">
          <Outlet />
        </main>
      </div>
      <Toasts />
      {isPalette && (
        <Suspense fallback={null}>
          <Palette places={places} onClose={() => setPalette(false)} />
        </Suspense>
      )}
      {isHelp && <Help onClose={() => setHelp(false)} />}
    </div>
  )
}

/** On every page: what died while one looked elsewhere. */
const DeadCount = ({ dead }: { readonly dead: number }) => (
  <span
    className="ml-auto rounded bg-dead/10 px-1.5 text-[11.5px] font-medium text-dead"
    title={plural(dead, "record")}
  >
    {count(dead)}
  </span>
)

const isApple = /Mac|iPhone|iPad/.test(navigator.userAgent)

const modes = {
  live: ["Live", "bg-completed", "What happens is shown as it happens. Pause"],
  polling: ["Polling", "bg-blocked", "There is no event stream: figures are asked for every few seconds. Pause"],
  paused: ["Paused", "bg-cancelled", "Nothing is read anew by itself. Go on"],
  /** Whatever the event stream says: what is shown is not of now. */
  away: ["Away", "bg-dead", "Nothing can be read now, and it is tried again every few seconds. Pause"]
} as const

const Foot = ({ onHelp }: { readonly onHelp: () => void }) => {
  const mode = live.useMode()
  const chosen = theme.use()
  const isHidden = payloads.useHidden()
  const { isError } = useStats()
  const [name, dot, title] = modes[isError && mode !== "paused" ? "away" : mode]
  const next = chosen === "system" ? "dark" : chosen === "dark" ? "light" : "system"
  return (
    <div className="flex items-center gap-0.5 md:border-t md:border-line md:pt-2">
      <button
        type="button"
        className="btn btn-ghost px-1.5"
        title={title}
        aria-label={`${name}. ${title}`}
        onClick={mode === "paused" ? live.resume : live.pause}
      >
        <span aria-hidden className={`size-2 rounded-full ${dot}`} />
        <span className="max-md:hidden">{name}</span>
      </button>
      <span className="hidden flex-1 md:block" />
      <button
        type="button"
        className="btn btn-ghost px-1.5 max-md:hidden"
        aria-pressed={isHidden}
        title={isHidden ? "Payloads are hidden. Show them" : "Hide payloads on this screen"}
        aria-label="Hide payloads"
        onClick={() => payloads.setHidden(!isHidden)}
      >
        <Icon name={isHidden ? "hidden" : "eye"} />
      </button>
      <button
        type="button"
        className="btn btn-ghost px-1.5"
        title={`Colours: ${chosen}. Change to ${next}`}
        aria-label={`Colours: ${chosen}. Change to ${next}`}
        onClick={() => theme.set(next)}
      >
        <Icon name={chosen === "system" ? "system" : chosen === "dark" ? "moon" : "sun"} />
      </button>
      <button
        type="button"
        className="btn btn-ghost px-1.5 max-md:hidden"
        title="Keys (?)"
        aria-label="Keys"
        onClick={onHelp}
      >
        <Icon name="keyboard" />
      </button>
    </div>
  )
}

/** A store that is away is said, and what is shown stays: it is of before. */
const Away = () => {
  const { dataUpdatedAt, error, isError } = useStats()
  if (!isError) return null
  const isRefused = error instanceof ApiFailure && !error.isAway
  return (
    <div
      role="alert"
      className="flex flex-wrap items-center gap-x-3 border-b border-dead/40 bg-dead/10 px-4 py-2 text-[12.5px]"
    >
      <strong className="text-dead">{titleOf(error)}</strong>
      <span className="text-soft">
        {error.message}
        {!isRefused && dataUpdatedAt > 0 &&
          ` · what is shown is of ${new Date(dataUpdatedAt).toLocaleTimeString("en-GB")}`}
      </span>
    </div>
  )
}

const titleOf = (error: Error): string => {
  const { status, tag } = error instanceof ApiFailure ? error : { status: 0, tag: "" }
  if (status === 401) return "Not signed in"
  if (status === 403) return "Not allowed"
  return status === 0
    ? "The server does not answer"
    : tag === "StoreFailed"
    ? "The store does not answer"
    : "The server failed"
}

const Toasts = () => (
  <div
    aria-live="polite"
    className="pointer-events-none fixed right-3 bottom-3 z-30 flex w-[min(26rem,calc(100vw-1.5rem))] flex-col gap-2"
  >
    {toasts.use().map(({ id, isBad, text }) => (
      <div
        key={id}
        className={`pointer-events-auto flex items-start gap-3 rounded-md border bg-panel px-3 py-2 shadow-lg ${
          isBad ? "border-dead" : "border-line"
        }`}
      >
        <span className={`flex-1 ${isBad ? "text-dead" : ""}`}>{text}</span>
        <button
          type="button"
          aria-label="Dismiss"
          className="text-faint hover:text-ink"
          onClick={() => toasts.dismiss(id)}
        >
          <Icon name="close" />
        </button>
      </div>
    ))}
  </div>
)

const keys = [
  [isApple ? "⌘K" : "Ctrl+K", "go anywhere, act on what is chosen"],
  ["/", "search"],
  ["j k", "next and previous row"],
  ["x", "select the row"],
  ["Enter", "open the row"],
  ["r", "retry what is selected, or the record that is open"],
  ["Esc", "let go of the selection, close"],
  ["?", "these keys"]
] as const

const Help = ({ onClose }: { readonly onClose: () => void }) => {
  useEffect(() => {
    const close = ({ key }: KeyboardEvent) => key === "Escape" && onClose()
    addEventListener("keydown", close)
    return () => removeEventListener("keydown", close)
  }, [onClose])
  return (
    <div role="dialog" aria-label="Keys" className="panel fixed right-3 bottom-3 z-20 p-4 shadow-lg">
      <div className="mb-2 flex items-center justify-between gap-6">
        <h2 className="font-semibold">Keys</h2>
        <button type="button" aria-label="Close" className="text-faint hover:text-ink" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1.5">
        {keys.map(([key, what]) => (
          <div key={key} className="contents">
            <dt className="flex gap-1">{key.split(" ").map((one) => <kbd key={one} className="kbd">{one}</kbd>)}</dt>
            <dd className="text-soft">{what}</dd>
          </div>
        ))}
      </dl>
    </div>
  )
}

export const NothingHere = () => (
  <div className="p-8">
    <h1 className="text-[17px] font-semibold">Nothing is here</h1>
    <p className="mt-1 text-soft">
      The dashboard has no such page. <Link to="/" className="link">Go to the overview</Link>
    </p>
  </div>
)
