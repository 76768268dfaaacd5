/**
 * What happens at the store, as it happens: one event stream for the page. Each frame makes what is shown be read anew, at
 * most once a second. Where there is no stream, figures are asked for instead.
 */
import type { QueryClient } from "@tanstack/react-query"
import { type Delta, urlOf } from "./api.ts"
import { cell } from "./store.ts"

/** `polling`: the stream is away, or a proxy does not let it through. */
export type Mode = "live" | "paused" | "polling"

const modeNow = cell<Mode>("polling")
const heard = cell(0)
/** Records that were heard of since lists were read last. */
const fresh = cell<ReadonlySet<string>>(new Set())

export const live = {
  useMode: modeNow.use,
  useFresh: fresh.use,
  seen: () => fresh.set(new Set()),
  /** What pages call to be told of each frame; `undefined` when more happened than is told. */
  onFrame: (listener: (deltas: ReadonlyArray<Delta> | undefined) => void) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  },
  pause: () => {
    source?.close()
    source = undefined
    modeNow.set("paused")
  },
  resume: () => {
    modeNow.set("polling")
    connect()
  }
}

const listeners = new Set<(deltas: ReadonlyArray<Delta> | undefined) => void>()
let source: EventSource | undefined
let client: QueryClient | undefined
let isDue = false

const readAnew = () => {
  if (isDue) return
  isDue = true
  setTimeout(() => {
    isDue = false
    if (document.visibilityState === "hidden") return
    void client?.invalidateQueries({ predicate: ({ meta }) => meta?.["live"] === true })
  }, 1000)
}

const frame = (deltas: ReadonlyArray<Delta> | undefined) => {
  heard.set(heard.get() + 1)
  if (deltas !== undefined) fresh.set(new Set([...fresh.get(), ...deltas.map(({ id }) => id)].slice(-1000)))
  for (const listener of listeners) listener(deltas)
  readAnew()
}

const connect = () => {
  source?.close()
  const opened = new EventSource(urlOf("events"))
  source = opened
  opened.addEventListener("open", () => modeNow.set("live"))
  opened.addEventListener("records", (event) => frame(JSON.parse(event.data) as ReadonlyArray<Delta>))
  opened.addEventListener("missed", () => frame(undefined))
  opened.addEventListener("error", () => {
    if (modeNow.get() === "live") modeNow.set("polling")
    // A refusal closes it for good; the browser tries again by itself after everything else.
    if (opened.readyState === EventSource.CLOSED) {
      setTimeout(() => source === opened && connect(), 5000)
    }
  })
}

export const start = (queries: QueryClient): void => {
  client = queries
  connect()
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible" && modeNow.get() !== "paused") readAnew()
  })
}

/** Milliseconds between two readings where nobody tells when something happens. */
export const usePolling = (usual: number): number | false => {
  const mode = modeNow.use()
  return mode === "paused" ? false : mode === "live" ? usual * 2 : usual
}
