/**
 * Everything by a few letters: pages, kept views, queues, jobs, a record by its id, and what can be done to what is chosen. The
 * field keeps the focus, and the arrow keys say which entry it means (the pattern "combobox with listbox popup" of the ARIA
 * Authoring Practices), in a modal dialog of the browser.
 */
import { useNavigate } from "@tanstack/react-router"
import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react"
import { useTurn } from "../actions.tsx"
import { type Command, openCommands } from "../commands.ts"
import { visible } from "../format.ts"
import { useDeclarations, useMay, useStats } from "../queries.ts"
import { isId } from "../search.ts"
import { payloads, theme } from "../store.ts"
import { views } from "../views.ts"
import { Dialog } from "./Dialog.tsx"
import { Icon, type IconName } from "./Icon.tsx"

/** Of each group, unless more is typed. */
const mostOfGroup = 7

export const Palette = (
  { onClose, places }: {
    readonly places: ReadonlyArray<readonly [to: string, name: string, icon: IconName]>
    readonly onClose: () => void
  }
) => {
  const navigate = useNavigate()
  const { data: stats } = useStats()
  const { data: declarations } = useDeclarations()
  const may = useMay()
  const turn = useTurn()
  const [own] = useState(openCommands)
  const [typed, setTyped] = useState("")
  const [chosen, setChosen] = useState(0)
  const list = useRef<HTMLDivElement>(null)
  const id = useId()
  const word = typed.trim()

  const all: ReadonlyArray<Command> = [
    ...isId(word)
      ? [
        command("Go to", `Record ${word}`, "list", () => void navigate({ to: "/records/$id", params: { id: word } })),
        command("Go to", `Flow ${word}`, "flow", () => void navigate({ to: "/flows/$id", params: { id: word } }))
      ]
      : [],
    ...own,
    ...places.map(([to, name, icon]) => command("Pages", name, icon, () => void navigate({ to }))),
    ...views.get().map(({ name, search }) =>
      command("Views", name, "bookmark", () => void navigate({ to: "/records", search }))
    ),
    ...(stats?.queues ?? []).map(({ paused, queue }) =>
      command(
        "Queues",
        queue,
        "lanes",
        () => void navigate({ to: "/queues/$queue", params: { queue } }),
        paused ? "paused" : undefined
      )
    ),
    ...(stats?.queues ?? []).filter(({ paused, queue }) => may(paused ? "resume" : "pause", queue)).map((
      { paused, queue }
    ) =>
      command(
        "Queues",
        `${paused ? "Resume" : "Pause"} ${queue}`,
        paused ? "play" : "pause",
        () => turn.mutate({ paused, queue }),
        paused ? "workers claim from it again" : "what runs goes on"
      )
    ),
    ...(declarations?.jobs ?? []).map(({ job, queue }) =>
      command("Jobs", job, "jobs", () => void navigate({ to: "/records", search: { job } }), queue)
    ),
    ...(["light", "dark", "system"] as const).map((name) =>
      command(
        "This screen",
        `Colours: ${name}`,
        name === "light" ? "sun" : name === "dark" ? "moon" : "system",
        () => theme.set(name)
      )
    ),
    command("This screen", "Hide payloads", "hidden", () => payloads.setHidden(true)),
    command("This screen", "Show payloads", "eye", () => payloads.setHidden(false))
  ]
  const found = offered(all, word)
  const groups = [...Map.groupBy(found, ({ group }) => group)]
  const current = Math.min(chosen, found.length - 1)

  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" })
  }, [current])

  const take = (command: Command | undefined) => {
    if (command === undefined) return
    onClose()
    // What opens a dialog of its own does so when this one has given the focus back.
    setTimeout(command.run)
  }
  const press = (event: KeyboardEvent) => {
    const next = { ArrowDown: current + 1, ArrowUp: current - 1, Home: 0, End: found.length - 1 }[event.key]
    if (event.key === "Enter") take(found[current])
    else if (
      next !== undefined && found.length > 0 && !(typed !== "" && (event.key === "Home" || event.key === "End"))
    ) {
      setChosen((next + found.length) % found.length)
    } else return
    event.preventDefault()
  }
  return (
    <Dialog title="Commands" onClose={onClose} isBare>
      <div className="flex items-center gap-2 border-b border-line px-3">
        <span className="text-faint">
          <Icon name="search" />
        </span>
        <input
          role="combobox"
          aria-expanded="true"
          aria-controls={id}
          aria-autocomplete="list"
          aria-activedescendant={found.length === 0 ? undefined : `${id}-${current}`}
          aria-label="Command"
          placeholder="A page, queue, job, action, or the id of a record"
          className="h-11 min-w-0 flex-1 bg-transparent text-[14px] outline-none placeholder:text-faint"
          value={typed}
          onChange={(event) => {
            setTyped(event.target.value)
            setChosen(0)
          }}
          onKeyDown={press}
        />
        <kbd className="kbd max-sm:hidden">Esc</kbd>
      </div>
      <div
        ref={list}
        id={id}
        role="listbox"
        aria-label="Commands"
        className="max-h-[min(50vh,26rem)] overflow-y-auto p-1.5"
      >
        {groups.map(([group, commands]) => (
          <div key={group} role="group" aria-label={group}>
            <p aria-hidden="true" className="label px-2 pt-1.5 pb-0.5">{group}</p>
            {commands.map((command) => {
              const index = found.indexOf(command)
              return (
                <div
                  key={command.name}
                  id={`${id}-${index}`}
                  role="option"
                  aria-selected={index === current}
                  className="flex cursor-pointer items-center gap-2.5 rounded-md px-2 py-1.5 aria-selected:bg-raised"
                  onMouseMove={() => setChosen(index)}
                  onClick={() => take(command)}
                >
                  <span className="text-faint">
                    <Icon name={command.icon} />
                  </span>
                  <bdi className="min-w-0 truncate">{visible(command.name)}</bdi>
                  {command.hint !== undefined && (
                    <span className="min-w-0 flex-1 truncate text-right text-[12px] text-faint">
                      <bdi>{visible(command.hint)}</bdi>
                    </span>
                  )}
                </div>
              )
            })}
          </div>
        ))}
      </div>
      <p role="status" className={found.length === 0 ? "px-4 pb-4 text-soft" : "sr-only"}>
        {found.length === 0 ? "Nothing is called so" : `${found.length} commands`}
      </p>
    </Dialog>
  )
}

const command = (group: string, name: string, icon: IconName, run: () => void, hint?: string): Command => ({
  group,
  name,
  icon,
  run,
  hint
})

/** Those with every word that was typed, a few of each group, groups with a name that begins so first. */
const offered = (all: ReadonlyArray<Command>, typed: string): ReadonlyArray<Command> => {
  const parts = typed.toLowerCase().split(/\s+/).filter((part) => part !== "")
  const matching = all.filter(({ group, hint = "", name }) => {
    const text = `${group} ${name} ${hint}`.toLowerCase()
    return parts.every((part) => text.includes(part))
  })
  const rank = ({ group, name }: Command): number =>
    group === "Actions" || group === "Go to" ? 0 : name.toLowerCase().startsWith(typed.toLowerCase()) ? 1 : 2
  const groups = [...Map.groupBy(matching, ({ group }) => group).values()].map((commands) =>
    (typed === "" ? commands : commands.toSorted((a, b) => rank(a) - rank(b))).slice(
      0,
      commands[0]!.group === "Pages" ? commands.length : mostOfGroup
    )
  )
  return (typed === "" ? groups : groups.toSorted((a, b) => rank(a[0]!) - rank(b[0]!))).flat()
}
