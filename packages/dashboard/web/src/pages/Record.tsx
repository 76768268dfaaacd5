import { useQuery } from "@tanstack/react-query"
import { Link, useParams } from "@tanstack/react-router"
import { useState } from "react"
import { acts, Confirm } from "../actions.tsx"
import { ApiFailure, type Attempt, type Estimated, type Failure, type JobRecord, type State } from "../api.ts"
import { useActions } from "../commands.ts"
import { brief, duration, instant, time, visible } from "../format.ts"
import { useKeys } from "../keys.ts"
import { recordQuery, useDeclarations, useMay, useStats } from "../queries.ts"
import { useNow } from "../store.ts"
import { Edit } from "../ui/Edit.tsx"
import { Icon } from "../ui/Icon.tsx"
import { JsonView } from "../ui/JsonView.tsx"
import { Ago, Chip, colourOf, Empty, Failed, Loading, StateMark } from "../ui/parts.tsx"

const everything = 16 * 1024 * 1024

const applies: Readonly<Record<Estimated, ReadonlyArray<State>>> = {
  retry: ["scheduled", "completed", "cancelled", "dead"],
  promote: ["scheduled"],
  reschedule: ["scheduled", "ready"],
  reprioritise: ["blocked", "scheduled", "ready"],
  cancel: ["blocked", "scheduled", "ready", "running"],
  delete: ["blocked", "scheduled", "ready", "completed", "cancelled", "dead"]
}

export const Record = () => {
  const { id } = useParams({ from: "/records/$id" })
  const [isWhole, setWhole] = useState(false)
  const { data: record, error, isFetching, isPending } = useQuery(recordQuery(id, isWhole ? everything : undefined))
  // What was shown may be gone by now.
  const isGone = error instanceof ApiFailure && error.tag === "RecordNotFound"
  if (record === undefined || isGone) {
    if (isPending) return <Loading />
    return isGone
      ? (
        <Empty title="There is no such record">
          Its retention has passed, somebody removed it, or you may not see it.
        </Empty>
      )
      : <Failed error={error!} />
  }
  return (
    <div className="pb-10">
      <Header record={record} />
      <div className="grid gap-4 px-4 md:px-6 xl:grid-cols-[minmax(0,1fr)_minmax(0,1.15fr)]">
        <div className="flex min-w-0 flex-col gap-4">
          <Facts record={record} />
          <JsonView
            title="Payload"
            excerpt={record.payload}
            onMore={() => setWhole(true)}
            isLoading={isWhole && isFetching}
          />
          {record.progress !== undefined && <JsonView title="Progress" excerpt={record.progress} />}
          {record.result !== undefined && (
            <JsonView
              title="Result"
              excerpt={record.result}
              onMore={() => setWhole(true)}
              isLoading={isWhole && isFetching}
            />
          )}
        </div>
        <div className="flex min-w-0 flex-col gap-4">
          <Timeline record={record} />
          <Attempts record={record} />
        </div>
      </div>
    </div>
  )
}

const Header = ({ record }: { readonly record: JobRecord }) => {
  const may = useMay()
  const now = useNow()
  const [asked, setAsked] = useState<Estimated>()
  const [isEditing, setEditing] = useState(false)
  const { data: declarations } = useDeclarations()
  const mayEdit = record.state !== "running" && may("edit", record.queue) &&
    declarations?.jobs.some(({ job }) => job === record.tag) === true
  const can = (action: Estimated) => applies[action].includes(record.state) && may(action, record.queue)
  useKeys({ r: () => can("retry") && setAsked("retry") })
  const main: ReadonlyArray<Estimated> = ["retry", "promote", "reschedule", "reprioritise", "cancel", "delete"]
  useActions(`this ${record.tag}`, main.filter(can), setAsked)
  return (
    <header className="px-4 pt-4 pb-4 md:px-6">
      <p className="label mb-1">
        <Link to="/records" className="hover:underline">Records</Link> / <span className="font-mono">{record.id}</span>
      </p>
      <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
        <h1 className="min-w-0 truncate text-[19px] font-semibold tracking-tight">
          <bdi>{record.tag}</bdi>
        </h1>
        <span className="text-[14px] font-medium">
          <StateMark state={record.state} />
        </span>
        <span className="min-w-0 text-soft">
          <Standing record={record} now={now} />
        </span>
        <span className="flex-1" />
        <div className="flex flex-wrap gap-1.5">
          {mayEdit && (
            <button type="button" className="btn" onClick={() => setEditing(true)}>
              <Icon name="edit" />
              Edit and run again
            </button>
          )}
          {main.filter(can).map((action, i) => (
            <button
              key={action}
              type="button"
              className={`btn ${i === 0 && action === "retry" ? "btn-main" : ""} ${
                acts[action].isDanger === true ? "btn-danger" : ""
              }`}
              onClick={() => setAsked(action)}
            >
              <Icon name={acts[action].icon} />
              {acts[action].verb}
            </button>
          ))}
        </div>
      </div>
      {isEditing && <Edit record={record} onClose={() => setEditing(false)} />}
      {asked !== undefined && (
        <Confirm
          action={asked}
          where={{ ids: [record.id] }}
          onClose={() => setAsked(undefined)}
        />
      )}
    </header>
  )
}

/** Why it is where it is, in one sentence. */
const Standing = ({ now, record }: { readonly record: JobRecord; readonly now: number }) => {
  const { blocked, cancelRequested, claimedAt, deadReason, dueAt, failures, finishedAt, state } = record
  const last = failures.at(-1)
  switch (state) {
    case "running":
      return (
        <>
          for {claimedAt === undefined ? "–" : brief(now - claimedAt)}, attempt {record.attempt}
          {cancelRequested !== undefined && `, asked to stop: ${visible(cancelRequested)}`}
        </>
      )
    case "scheduled":
      return (
        <>
          {dueAt === undefined ? "" : dueAt > now ? `runs in ${brief(dueAt - now)}` : "due now"}
          {last !== undefined && `, after ${visible(last.tag ?? last.kind)}`}
        </>
      )
    case "blocked":
      return (
        <>
          waits for {blocked === undefined ? "something" : words[blocked.reason]}
          {blocked?.on !== undefined && ` (${visible(blocked.on)})`}
        </>
      )
    case "dead":
      return <>{deadReason}{last !== undefined && `: ${visible(last.message)}`}</>
    case "cancelled":
      return (
        <>
          {cancelRequested === undefined ? "" : visible(cancelRequested)} <Ago at={finishedAt} />
        </>
      )
    case "completed":
      return <Ago at={finishedAt} />
    case "ready":
      return <>waits for a free worker</>
  }
}

const words: Readonly<Record<NonNullable<JobRecord["blocked"]>["reason"], string>> = {
  Dependencies: "other records of its flow",
  ConcurrencyKey: "its key's turn",
  Unique: "the record that holds its unique key",
  Waitpoint: "a signal",
  Children: "the records that its last attempt left behind",
  NoHandler: "a worker that knows its job",
  NewerPayload: "a worker that knows its version"
}

const Facts = ({ record }: { readonly record: JobRecord }) => {
  const rows: ReadonlyArray<readonly [name: string, value: React.ReactNode]> = [
    [
      "Queue",
      <Link to="/records" search={{ queue: record.queue }} className="link">
        <bdi>{record.queue}</bdi>
      </Link>
    ],
    ["Priority", record.priority],
    ["Version", record.version],
    ["Attempt", `${record.attempt}${record.crashes > 0 ? `, ${record.crashes} crashes` : ""}`],
    [
      "Worker",
      record.worker === undefined
        ? undefined
        : <WorkerName id={record.worker} />
    ],
    [
      "Enqueued",
      <>
        {instant(record.enqueuedAt)}{" "}
        <span className="text-faint">
          (<Ago at={record.enqueuedAt} />)
        </span>
      </>
    ],
    ["Due", record.dueAt === undefined ? undefined : instant(record.dueAt)],
    ["Ended", record.finishedAt === undefined ? undefined : instant(record.finishedAt)],
    ["Kept until", record.expiresAt === undefined ? undefined : instant(record.expiresAt)],
    ["Concurrency key", record.concurrencyKey],
    ["Rate key", record.rateKey],
    ["Unique key", record.uniqueKey],
    ["Idempotency key", record.idempotencyKey],
    [
      "Flow",
      record.flowId === undefined
        ? undefined
        : (
          <Link to="/flows/$id" params={{ id: record.flowId }} className="link font-mono text-[11.5px]">
            {record.flowId}
          </Link>
        )
    ],
    [
      "Parent",
      record.parent === undefined
        ? undefined
        : (
          <Link to="/records/$id" params={{ id: record.parent }} className="link font-mono text-[11.5px]">
            {record.parent}
          </Link>
        )
    ],
    [
      "Trace",
      record.headers["traceparent"] === undefined
        ? undefined
        : <span className="font-mono text-[11.5px] break-all">{record.headers["traceparent"].split("-")[1]}</span>
    ],
    ["Steps", record.steps.length === 0 ? undefined : record.steps.join(", ")]
  ]
  return (
    <section className="panel px-3 py-2.5" aria-label="Facts">
      <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-5 gap-y-1">
        {rows.filter(([, value]) => value !== undefined).map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="text-faint">{name}</dt>
            <dd className="min-w-0 break-words">{typeof value === "string" ? <bdi>{visible(value)}</bdi> : value}</dd>
          </div>
        ))}
      </dl>
      {record.tags.length > 0 && (
        <div className="mt-2 flex flex-wrap gap-1 border-t border-line pt-2">
          {record.tags.map((tag) => (
            <Link key={tag} to="/records" search={{ tag }}>
              <Chip>{visible(tag)}</Chip>
            </Link>
          ))}
        </div>
      )}
    </section>
  )
}

interface Moment {
  readonly at: number
  readonly what: string
  readonly state: State
  readonly note?: string
}

const endOf: Readonly<Record<Attempt["decision"], State>> = {
  completed: "completed",
  retried: "scheduled",
  snoozed: "scheduled",
  waiting: "blocked",
  cancelled: "cancelled",
  dead: "dead",
  released: "ready",
  parked: "blocked",
  crashed: "dead"
}

/** All that is known of its life, in order. */
const momentsOf = (record: JobRecord): ReadonlyArray<Moment> => {
  const moments: Array<Moment> = [{ at: record.enqueuedAt, what: "enqueued", state: "ready" }]
  for (const { attempt, decision, endedAt, failure, startedAt } of record.attempts) {
    moments.push({ at: startedAt, what: `attempt ${attempt} claimed`, state: "running" })
    moments.push({
      at: endedAt,
      what: `${decision}, after ${duration(endedAt - startedAt)}`,
      state: endOf[decision],
      ...failure === undefined ? {} : { note: failure.tag ?? failure.kind }
    })
  }
  if (record.state === "running" && record.claimedAt !== undefined) {
    moments.push({ at: record.claimedAt, what: `attempt ${record.attempt} claimed`, state: "running" })
  }
  if (record.state === "scheduled" && record.dueAt !== undefined) {
    moments.push({ at: record.dueAt, what: "due", state: "scheduled" })
  }
  const last = record.attempts.at(-1)
  // An attempt that ended it has said so already.
  if (record.finishedAt !== undefined && (last === undefined || endOf[last.decision] !== record.state)) {
    moments.push({ at: record.finishedAt, what: record.state, state: record.state })
  }
  return moments.toSorted((a, b) => a.at - b.at)
}

const Timeline = ({ record }: { readonly record: JobRecord }) => {
  const moments = momentsOf(record)
  return (
    <section className="panel" aria-labelledby="timeline">
      <h2 id="timeline" className="border-b border-line px-3 py-2 font-semibold">Timeline</h2>
      <ol className="max-h-80 overflow-auto px-3 py-2" tabIndex={0} aria-label="What happened, in order">
        {moments.map(({ at, note, state, what }, i) => {
          const gap = i === 0 ? 0 : at - moments[i - 1]!.at
          return (
            <li key={i} className="grid grid-cols-[92px_12px_minmax(0,1fr)_auto] items-baseline gap-x-2.5 py-0.5">
              <time className="num text-faint" dateTime={new Date(at).toISOString()} title={instant(at)}>
                {time(at)}
              </time>
              <span aria-hidden className={`size-2 self-center rounded-full bg-current ${colourOf(state)}`} />
              <span className="min-w-0 truncate">
                {what} {note !== undefined && (
                  <span className="text-dead">
                    · <bdi>{visible(note)}</bdi>
                  </span>
                )}
              </span>
              <span className="num text-faint">{i === 0 ? "" : `+${brief(gap)}`}</span>
            </li>
          )
        })}
      </ol>
    </section>
  )
}

const Attempts = ({ record }: { readonly record: JobRecord }) => {
  const running = record.state === "running" ? record.logs.filter(({ attempt }) => attempt === record.attempt) : []
  if (record.attempts.length === 0 && running.length === 0) {
    // A failure that no attempt made: a dependency that failed, a payload that no longer decodes.
    const last = record.failures.at(-1)
    return last === undefined
      ? (
        <section className="panel">
          <Empty title="No attempt yet" />
        </section>
      )
      : (
        <section className="panel px-3 py-2.5">
          <FailureOf failure={last} />
        </section>
      )
  }
  return (
    <section aria-labelledby="attempts" className="flex flex-col gap-2">
      <h2 id="attempts" className="font-semibold">Attempts</h2>
      {running.length > 0 && (
        <div className="panel px-3 py-2.5">
          <StateMark state="running" text={`Attempt ${record.attempt} runs`} />
          <Logs lines={running} />
        </div>
      )}
      {record.attempts.toReversed().map((attempt) => (
        <article
          key={`${attempt.attempt}-${attempt.startedAt}`}
          className="panel px-3 py-2.5"
          aria-label={`Attempt ${attempt.attempt}`}
        >
          <div className="flex flex-wrap items-baseline gap-x-3">
            <h3 className="font-medium">Attempt {attempt.attempt}</h3>
            <StateMark state={endOf[attempt.decision]} text={attempt.decision} />
            <span className="flex-1" />
            <span className="text-soft">
              {time(attempt.startedAt)} · {duration(attempt.endedAt - attempt.startedAt)}
            </span>
          </div>
          {attempt.failure !== undefined && <FailureOf failure={attempt.failure} />}
          <Logs lines={record.logs.filter((line) => line.attempt === attempt.attempt)} />
          <p className="label mt-1.5 flex flex-wrap gap-x-4 break-all">
            <span>
              worker <span className="font-mono">{attempt.worker}</span>
            </span>
            {attempt.trace !== undefined && (
              <span>
                trace <span className="font-mono">{attempt.trace.split("-")[1]}</span>
              </span>
            )}
          </p>
        </article>
      ))}
    </section>
  )
}

const FailureOf = ({ failure }: { readonly failure: Failure }) => (
  <div className="mt-1.5 rounded-md border border-dead/25 bg-dead/5 px-2.5 py-2">
    <p className="break-words">
      <strong className="text-dead">
        <bdi>{visible(failure.tag ?? failure.kind)}</bdi>
      </strong>{" "}
      <span className="label">{failure.kind === "Declared" ? "declared by the job" : failure.kind}</span>
    </p>
    <p className="max-h-60 overflow-auto break-words whitespace-pre-wrap">
      <bdi>{visible(failure.message)}</bdi>
    </p>
    {failure.error !== undefined && (
      <pre className="mt-1 max-h-60 overflow-auto font-mono text-[11.5px] break-all whitespace-pre-wrap text-soft"><bdi>{visible(failure.error)}</bdi></pre>
    )}
  </div>
)

const Logs = ({ lines }: { readonly lines: JobRecord["logs"] }) =>
  lines.length === 0 ?
    null :
    (
      <ul className="mt-1.5 max-h-60 overflow-auto font-mono text-[11.5px]" aria-label="Log" tabIndex={0}>
        {lines.map(({ at, message }, i) => (
          <li key={i} className="flex gap-3">
            <time className="shrink-0 text-faint" dateTime={new Date(at).toISOString()}>{time(at)}</time>
            <span className="min-w-0 break-words whitespace-pre-wrap">
              <bdi>{visible(message)}</bdi>
            </span>
          </li>
        ))}
      </ul>
    )

/** Its id, and where it runs while it is there. */
const WorkerName = ({ id }: { readonly id: string }) => {
  const { data } = useStats()
  const process = data?.workers.find(({ worker }) => worker === id)?.process
  return (
    <span className="break-all">
      <span className="font-mono text-[11.5px]">{id}</span>
      {process?.host !== undefined && <span className="text-soft">{" "}on {process.host}</span>}
      {process?.pid !== undefined && <span className="text-soft">{" "}pid {process.pid}</span>}
    </span>
  )
}
