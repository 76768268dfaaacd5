import { useNavigate, useSearch } from "@tanstack/react-router"
import type { DeadReason } from "../api.ts"
import { plural } from "../format.ts"
import { useStats } from "../queries.ts"
import { type RecordsSearch, selectionOf } from "../search.ts"
import { Empty, Heading } from "../ui/parts.tsx"
import { RecordTable } from "../ui/RecordTable.tsx"

const reasons: ReadonlyArray<readonly [reason: DeadReason | undefined, name: string, what: string]> = [
  [undefined, "All", "What will not run again by itself, kept to be read, edited and replayed."],
  ["Failed", "Failed", "A declared error ended it, or its attempts or its time were used up."],
  ["Defect", "Defect", "It failed in a way that its job does not declare."],
  ["TimedOut", "Timed out", "Its attempts took longer than the job allows."],
  ["Crashed", "Crashed", "Its workers died while they held it, three times."],
  [
    "InvalidPayload",
    "Undecodable",
    "Its payload no longer fits the job's schema. Edit it, or deploy a version that lifts it."
  ],
  ["Expired", "Expired", "It did not start in time."],
  ["DependencyFailed", "Dependency", "Something that it waited for failed; its last failure names it."]
]

export const Dead = () => {
  const search = useSearch({ from: "/dead" })
  const navigate = useNavigate({ from: "/dead" })
  const { data: stats } = useStats()
  const dead = stats?.queues.reduce((sum, { counts }) => sum + counts.dead, 0)
  const go = (next: RecordsSearch) => void navigate({ to: "/dead", search: next })
  const [, , what] = reasons.find(([reason]) => reason === search.reason)!
  const { reason: _, ...rest } = search
  return (
    <div className="flex h-full flex-col">
      <Heading title="Dead letters">
        {dead === undefined ? "" : `${plural(dead, "record")}. `}
        {what}
      </Heading>
      <div role="group" aria-label="Reason" className="flex shrink-0 gap-0.5 overflow-x-auto px-3 pb-2 md:px-5">
        {reasons.map(([reason, name]) => (
          <button
            key={name}
            type="button"
            aria-pressed={search.reason === reason}
            className="shrink-0 rounded-md px-2 py-1 text-soft hover:bg-raised aria-pressed:bg-raised aria-pressed:font-medium aria-pressed:text-ink"
            onClick={() => go(reason === undefined ? rest : { ...search, reason })}
          >
            {name}
          </button>
        ))}
      </div>
      <RecordTable
        where={{ ...selectionOf(search), states: ["dead"] }}
        actions={["retry", "delete"]}
        empty={
          <Empty title="Nothing is dead">
            {search.reason === undefined
              ? "Every record may still run, or has ended well."
              : "Nothing died for this reason."}
          </Empty>
        }
      />
    </div>
  )
}
