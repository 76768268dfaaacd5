/** Another payload for a record: checked here for being JSON, and on the server by the job's schema. */
import { useMutation, useQuery } from "@tanstack/react-query"
import { useId, useState } from "react"
import { useRefresh } from "../actions.tsx"
import { type Edited, type JobRecord, post } from "../api.ts"
import { recordQuery, useDeclarations } from "../queries.ts"
import { tell } from "../store.ts"
import { Dialog } from "./Dialog.tsx"
import { Failed, Loading } from "./parts.tsx"

const everything = 16 * 1024 * 1024

const pretty = (text: string): string => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

const problemOf = (text: string): string | undefined => {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

export const Edit = ({ onClose, record }: { readonly record: JobRecord; readonly onClose: () => void }) => {
  const { data, error } = useQuery({
    ...recordQuery(record.id, everything),
    refetchOnWindowFocus: false,
    staleTime: Infinity,
    meta: {}
  })
  return (
    <Dialog title="Edit and run again" onClose={onClose} wide>
      {error !== null && data === undefined
        ? <Failed error={error} />
        : data === undefined || data.payload.text.length < data.payload.length
        ? <Loading />
        : <Form record={data} onClose={onClose} />}
    </Dialog>
  )
}

const Form = ({ onClose, record }: { readonly record: JobRecord; readonly onClose: () => void }) => {
  const [text, setText] = useState(() => pretty(record.payload.text))
  const problem = problemOf(text)
  const problemId = useId()
  const refresh = useRefresh()
  const { data: declarations } = useDeclarations()
  const schema = declarations?.jobs.find(({ job }) => job === record.tag)?.payload
  const run = useMutation({
    mutationFn: () => post<Edited>("/records/edit", { id: record.id, payload: text }),
    onSuccess: ({ outcome }) => {
      tell(
        outcome === "Changed"
          ? "The record runs again with the new payload"
          : outcome === "Unchanged"
          ? "It runs: nothing was changed"
          : "The record is gone",
        outcome !== "Changed"
      )
      onClose()
    },
    onSettled: refresh
  })
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        run.mutate()
      }}
    >
      <p className="mb-2 text-soft">
        The payload is checked by the schema of <bdi className="font-medium">{record.tag}</bdi> on the server.
        {record.sensitive.payload.length > 0 && " What is redacted stays as it is, unless you write another value."}
      </p>
      <textarea
        autoFocus
        aria-label="Payload as JSON"
        aria-invalid={problem !== undefined}
        aria-describedby={problemId}
        spellCheck={false}
        className="field h-72 w-full resize-y p-2 font-mono text-[12px] leading-[1.5] whitespace-pre"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <p id={problemId} role="status" className="min-h-5 text-[12px] break-words text-dead">
        {problem ?? run.error?.message ?? ""}
      </p>
      {schema !== undefined && (
        <details className="mb-2">
          <summary className="text-soft">The schema</summary>
          <pre
            className="mt-1 max-h-48 overflow-auto rounded-md bg-raised p-2 font-mono text-[11.5px]"
            tabIndex={0}
          >{JSON.stringify(schema, null, 2)}</pre>
        </details>
      )}
      <div className="flex justify-end gap-2">
        <button type="button" className="btn" onClick={onClose}>Back</button>
        <button type="submit" className="btn btn-main" disabled={problem !== undefined || run.isPending}>
          {run.isPending ? "Working…" : "Run again"}
        </button>
      </div>
    </form>
  )
}
