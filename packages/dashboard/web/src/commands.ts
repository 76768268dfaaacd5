/** What can be done on the page that is open, as the palette offers it: each page says its own while it is there. */
import { useEffect, useRef } from "react"
import { acts } from "./actions.tsx"
import type { Estimated } from "./api.ts"
import { cell } from "./store.ts"
import type { IconName } from "./ui/Icon.tsx"

export interface Command {
  /** Apart from those of the same group. */
  readonly name: string
  readonly group: string
  readonly icon: IconName
  /** Said beside it. */
  readonly hint?: string | undefined
  readonly run: () => void
}

const now = cell<ReadonlyMap<symbol, ReadonlyArray<Command>>>(new Map())

const set = (owner: symbol, commands: ReadonlyArray<Command>) => {
  const next = new Map(now.get())
  if (commands.length === 0) next.delete(owner)
  else next.set(owner, commands)
  now.set(next)
}

/** Read when the palette is opened: what is done is what holds then. */
export const openCommands = (): ReadonlyArray<Command> => [...now.get().values()].flat()

/** Offers actions on records: `on` says on which. */
export const useActions = (
  on: string,
  actions: ReadonlyArray<Estimated>,
  ask: (action: Estimated) => void
): void => {
  const owner = useRef(Symbol())
  const current = useRef(ask)
  current.current = ask
  const key = actions.join()
  useEffect(() => {
    const own = owner.current
    set(
      own,
      actions.map((action) => ({
        name: acts[action].verb,
        group: "Actions",
        icon: acts[action].icon,
        hint: on,
        run: () => current.current(action)
      }))
    )
    return () => set(own, [])
  }, [key, on])
}
