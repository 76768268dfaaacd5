/** Small states that several places of the page share, outside of React. */
import { useSyncExternalStore } from "react"

/** A value that changes, and who looks at it. */
export const cell = <A>(initial: A) => {
  let value = initial
  const listeners = new Set<() => void>()
  const subscribe = (listener: () => void) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
  return {
    get: () => value,
    set: (next: A) => {
      if (Object.is(next, value)) return
      value = next
      for (const listener of listeners) listener()
    },
    use: () => useSyncExternalStore(subscribe, () => value)
  }
}

/** The store's clock, as far as the page knows it: what it said, and what has passed since. */
let skew = 0
const now = cell(Date.now())
setInterval(() => now.set(Date.now() + skew), 1000)

export const heardNow = (storeNow: number): void => {
  skew = storeNow - Date.now()
}
export const nowOf = (): number => now.get()
export const useNow = (): number => now.use()

export type Theme = "system" | "light" | "dark"

/** What this browser keeps of the page. */
export const remembered = (name: string): string | null => {
  try {
    return localStorage.getItem(`capstan.${name}`)
  } catch {
    return null
  }
}

export const remember = (name: string, value: string): void => {
  try {
    localStorage.setItem(`capstan.${name}`, value)
  } catch {
    // A browser that keeps nothing shows the usual.
  }
}

const themeNow = cell<Theme>((remembered("theme") as Theme | null) ?? "system")

const apply = (theme: Theme): void => {
  if (theme === "system") delete document.documentElement.dataset["theme"]
  else document.documentElement.dataset["theme"] = theme
}
apply(themeNow.get())

export const theme = {
  use: themeNow.use,
  set: (next: Theme) => {
    themeNow.set(next)
    remember("theme", next)
    apply(next)
  }
}

const hiddenNow = cell(remembered("payloads") === "hidden")

/** Whether payloads are shown on this screen. */
export const payloads = {
  useHidden: hiddenNow.use,
  setHidden: (isHidden: boolean) => {
    hiddenNow.set(isHidden)
    remember("payloads", isHidden ? "hidden" : "shown")
  }
}

export interface Toast {
  readonly id: number
  readonly text: string
  readonly isBad: boolean
}

const toastsNow = cell<ReadonlyArray<Toast>>([])
let lastToast = 0

export const toasts = {
  use: toastsNow.use,
  dismiss: (id: number) => toastsNow.set(toastsNow.get().filter((toast) => toast.id !== id))
}

/** Says what came of an action. Bad news stay until they are put away. */
export const tell = (text: string, isBad = false): void => {
  const id = ++lastToast
  toastsNow.set([...toastsNow.get().slice(-3), { id, text, isBad }])
  if (!isBad) setTimeout(() => toasts.dismiss(id), 6000)
}
