/** A record by hand: a form made of the job's schema, or JSON. The server checks it by the schema, and says at which field it is wrong. */
import { useMutation } from "@tanstack/react-query"
import { Link } from "@tanstack/react-router"
import { useId, useMemo, useRef, useState } from "react"
import { useRefresh } from "../actions.tsx"
import { ApiFailure, type Declarations, type Enqueued, post } from "../api.ts"
import { type Field, placed, type Problems, read, rootOf, type Typed, typedOf } from "../form.ts"
import { shortId } from "../format.ts"
import { Dialog } from "./Dialog.tsx"

type Declaration = Declarations["jobs"][number]

const units = { seconds: 1000, minutes: 60_000, hours: 3_600_000, days: 86_400_000 } as const

const outcomes: Readonly<Record<Enqueued["outcome"], string>> = {
  Inserted: "Enqueued",
  Existing: "It was there already",
  Replaced: "The record that waited has this payload now",
  Deferred: "It runs after the one that holds its unique key"
}

const jsonOf = (value: unknown): string => JSON.stringify(value ?? null, null, 2)

const problemOf = (text: string): string | undefined => {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

export const Enqueue = ({ job, onClose }: { readonly job: Declaration; readonly onClose: () => void }) => {
  const [made, setMade] = useState<Enqueued>()
  return (
    <Dialog title={`Enqueue ${job.job}`} onClose={onClose} wide>
      {made === undefined
        ? <Form job={job} onClose={onClose} onMade={setMade} />
        : (
          <>
            <p role="status" className="mb-4">
              {outcomes[made.outcome]}:{" "}
              <Link to="/records/$id" params={{ id: made.id }} className="link font-mono" onClick={onClose}>
                {shortId(made.id)}
              </Link>
            </p>
            <div className="flex justify-end gap-2">
              <button type="button" className="btn" onClick={() => setMade(undefined)}>Another one</button>
              <button type="button" className="btn btn-main" autoFocus onClick={onClose}>Done</button>
            </div>
          </>
        )}
    </Dialog>
  )
}

const Form = (
  { job, onClose, onMade }: {
    readonly job: Declaration
    readonly onClose: () => void
    readonly onMade: (made: Enqueued) => void
  }
) => {
  const root = useMemo(() => rootOf(job.payload), [job])
  const hasForm = root.kind === "group"
  const [typed, setTyped] = useState<Typed>({})
  /** JSON instead of fields. */
  const [text, setText] = useState<string | undefined>(hasForm ? undefined : "null")
  const [own, setOwn] = useState<Problems>({})
  const [options, setOptions] = useState({
    delay: "",
    unit: "minutes" as keyof typeof units,
    priority: "",
    key: "",
    tags: ""
  })
  const form = useRef<HTMLFormElement>(null)
  const refresh = useRefresh()
  const run = useMutation({
    mutationFn: (payload: string) => {
      const tags = options.tags.split(",").map((tag) => tag.trim()).filter((tag) => tag !== "")
      return post<Enqueued>("/records/enqueue", {
        job: job.job,
        payload,
        ...options.delay === "" ? {} : { delay: Number(options.delay) * units[options.unit] },
        ...options.priority === "" ? {} : { priority: Number(options.priority) },
        ...options.key === "" ? {} : { idempotencyKey: options.key },
        ...tags.length === 0 ? {} : { tags }
      })
    },
    onSuccess: onMade,
    onError: () => requestAnimationFrame(focusWrong),
    onSettled: refresh
  })
  const focusWrong = () => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus()
  const issues = run.error instanceof ApiFailure ? run.error.issues : []
  const problems: Problems = { ...placed(root, text === undefined ? issues : []), ...own }
  const whole = text !== undefined
    ? issues.map(({ message, pointer }) => `${pointer} ${message}`.trim()).join("; ")
    : problems[""]
  const jsonProblem = text === undefined ? undefined : problemOf(text)
  const id = useId()
  const type = (pointer: string, value: string) => {
    setTyped((before) => ({ ...before, [pointer]: value }))
    setOwn((problems) => Object.fromEntries(Object.entries(problems).filter(([at]) => at !== pointer)))
  }
  const toJson = () => setText(jsonOf(read(root, typed).value))
  const toForm = () => {
    if (text === undefined || jsonProblem !== undefined) return
    setTyped(typedOf(root, JSON.parse(text)))
    setText(undefined)
    run.reset()
  }
  return (
    <form
      ref={form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault()
        if (text !== undefined) return run.mutate(text)
        const { problems, value } = read(root, typed)
        setOwn(problems)
        if (Object.keys(problems).length > 0) return void requestAnimationFrame(focusWrong)
        run.mutate(JSON.stringify(value))
      }}
    >
      <div className="mb-3 flex flex-wrap items-center gap-2">
        <p className="flex-1 text-soft">
          It goes to the queue <bdi className="font-medium">{job.queue}</bdi>, and is written into the audit log.
        </p>
        {hasForm && (
          <button
            type="button"
            className="btn"
            onClick={text === undefined ? toJson : toForm}
            disabled={jsonProblem !== undefined}
          >
            {text === undefined ? "As JSON" : "As a form"}
          </button>
        )}
      </div>
      {text === undefined && root.kind === "group"
        ? root.fields.length === 0
          ? <p className="mb-3 text-faint">Its payload has no fields.</p>
          : (
            <div className="flex flex-col gap-3">
              {root.fields.map((field) => (
                <One key={field.pointer} field={field} typed={typed} problems={problems} type={type} id={id} />
              ))}
            </div>
          )
        : (
          <textarea
            autoFocus
            aria-label="Payload as JSON"
            aria-invalid={jsonProblem !== undefined || whole !== ""}
            aria-describedby={`${id}-whole`}
            spellCheck={false}
            className="field h-56 w-full resize-y p-2 font-mono text-[12px] leading-[1.5] whitespace-pre"
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
        )}
      <details className="mt-3">
        <summary className="text-soft">When, and what it is found by</summary>
        <div className="mt-2 grid gap-3 sm:grid-cols-2">
          <label className="flex flex-col gap-1">
            <span className="label">Not before, from now on</span>
            <span className="flex gap-2">
              <input
                type="number"
                min={0}
                step="any"
                className="field w-full"
                value={options.delay}
                onChange={({ target: { value } }) => setOptions({ ...options, delay: value })}
              />
              <select
                aria-label="Unit"
                className="field w-28 shrink-0"
                value={options.unit}
                onChange={({ target: { value } }) => setOptions({ ...options, unit: value as keyof typeof units })}
              >
                {Object.keys(units).map((unit) => <option key={unit}>{unit}</option>)}
              </select>
            </span>
          </label>
          <label className="flex flex-col gap-1">
            <span className="label">Priority, from -100 to 100: higher first</span>
            <input
              type="number"
              min={-100}
              max={100}
              step={1}
              placeholder="the job's"
              className="field"
              value={options.priority}
              onChange={({ target: { value } }) => setOptions({ ...options, priority: value })}
            />
          </label>
          <label className="flex flex-col gap-1">
            <span className="label">Idempotency key: the same one enqueues once</span>
            <input
              className="field"
              value={options.key}
              onChange={({ target: { value } }) => setOptions({ ...options, key: value })}
            />
          </label>
          <label className="flex flex-col gap-1">
            <span className="label">Tags, with a comma between them</span>
            <input
              className="field"
              value={options.tags}
              onChange={({ target: { value } }) => setOptions({ ...options, tags: value })}
            />
          </label>
        </div>
      </details>
      <p id={`${id}-whole`} role="alert" className="mt-2 min-h-5 text-[12px] break-words text-dead">
        {jsonProblem ?? (whole !== undefined && whole !== ""
          ? whole
          : run.error === null
          ? ""
          : issues.length === 0
          ? run.error.message
          : "The payload is not what the job takes: see the fields that are marked.")}
      </p>
      <div className="flex justify-end gap-2">
        <button type="button" className="btn" onClick={onClose}>Back</button>
        <button type="submit" className="btn btn-main" disabled={jsonProblem !== undefined || run.isPending}>
          {run.isPending ? "Working…" : "Enqueue"}
        </button>
      </div>
    </form>
  )
}

const One = (
  { field, id, problems, type, typed }: {
    readonly field: Field
    readonly typed: Typed
    readonly problems: Problems
    readonly type: (pointer: string, value: string) => void
    readonly id: string
  }
) => {
  const problem = problems[field.pointer]
  if (field.kind === "group") {
    return (
      <fieldset className="rounded-md border border-line px-3 pt-1 pb-3">
        <legend className="px-1 font-medium">{field.name}</legend>
        <div className="flex flex-col gap-3">
          {field.fields.map((one) => (
            <One key={one.pointer} field={one} typed={typed} problems={problems} type={type} id={id} />
          ))}
        </div>
        {problem !== undefined && <p className="mt-1 text-[12px] break-words text-dead">{problem}</p>}
      </fieldset>
    )
  }
  const said = `${id}${field.pointer}`
  const value = typed[field.pointer] ?? ""
  const input = {
    id: `${said}-field`,
    value,
    "aria-invalid": problem !== undefined,
    "aria-describedby": said,
    "aria-required": field.isRequired,
    onChange: ({ target }: { readonly target: { readonly value: string } }) => type(field.pointer, target.value)
  }
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={input.id} className="flex items-baseline gap-2">
        <span className="font-medium">{field.name}</span>
        {!field.isRequired && <span className="label">may be left out</span>}
        {field.kind === "json" && <span className="label">JSON</span>}
      </label>
      {field.kind === "choice" || field.kind === "boolean"
        ? (
          <select {...input} className={`field ${problem === undefined ? "" : "!border-dead"}`}>
            <option value="">–</option>
            {(field.kind === "choice" ? field.choices : [true, false]).map((choice) => (
              <option key={JSON.stringify(choice)} value={JSON.stringify(choice)}>{String(choice)}</option>
            ))}
          </select>
        )
        : field.kind === "json"
        ? (
          <textarea
            {...input}
            rows={3}
            spellCheck={false}
            className={`field h-auto w-full resize-y p-2 font-mono text-[12px] ${
              problem === undefined ? "" : "!border-dead"
            }`}
          />
        )
        : (
          <input
            {...input}
            inputMode={field.kind === "number" ? "decimal" : "text"}
            autoComplete="off"
            className={`field ${problem === undefined ? "" : "!border-dead"}`}
          />
        )}
      <p id={said} className={`text-[12px] break-words ${problem === undefined ? "text-faint" : "text-dead"}`}>
        {problem ?? field.hint}
      </p>
    </div>
  )
}
