/** The verbs of schedules over their scripts. */
import type { JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type { Calls } from "./client.ts"
import * as Codec from "./codec.ts"
import * as Ids from "./ids.ts"

const instant = (at: number | undefined): string => at === undefined ? "" : String(Math.ceil(at))
const instantOf = (text: string): number | undefined => text === "" ? undefined : Number(text)

/** Names and texts by turns. */
const rowsOf = (pairs: ReadonlyArray<string>): ReadonlyArray<JobStore.ScheduleRow> => {
  const rows: Array<JobStore.ScheduleRow> = []
  for (let i = 0; i < pairs.length; i += 2) rows.push(toRow(Codec.unclean(pairs[i]!), pairs[i + 1]!))
  return rows
}

const toRow = (name: string, text: string): JobStore.ScheduleRow => {
  const [revision, nextAt, attendAt, count, last, id, body] = text.split(Codec.field) as [
    string,
    string,
    string,
    string,
    string,
    string,
    string
  ]
  return {
    name,
    revision: Number(revision),
    nextAt: instantOf(nextAt),
    attendAt: instantOf(attendAt),
    body: Codec.unclean(body),
    count: Number(count),
    last: last === "" ? undefined : lastOf(last, id)
  }
}

const lastOf = (text: string, id: string): JobStore.LastTick => {
  const [at, dueAt, tickedAt, outcome] = text.split(",")
  return {
    at: Number(at),
    dueAt: Number(dueAt),
    tickedAt: Number(tickedAt),
    outcome: outcome as JobStore.TickOutcome["outcome"],
    id: id === "" ? undefined : Ids.unpack(id)
  }
}

/** `stored`: a script that adds records, as durable as the store's settings want it. */
export const verbs = (
  client: Calls,
  stored: <A>(verb: "tick", args: ReadonlyArray<string>) => ReturnType<typeof client.call<A>>
): Pick<JobStore.Shape, "schedules" | "putSchedule" | "tick"> => ({
  schedules: ({ after, limit, names }) =>
    Effect.map(
      client.call<[string, ReadonlyArray<string>]>(
        "schedules",
        "schedules",
        names === undefined
          ? [Codec.clean(after ?? ""), String(limit)]
          : ["", "", ...names.slice(0, limit).map(Codec.clean)]
      ),
      ([now, pairs]) => ({ now: Number(now), rows: rowsOf(pairs) })
    ),

  putSchedule: ({ name, revision, row }) =>
    Effect.map(
      client.call<number>("putSchedule", "putSchedule", [
        Codec.clean(name),
        String(revision),
        row === undefined ? "1" : "",
        instant(row?.nextAt),
        instant(row?.attendAt),
        Codec.clean(row?.body ?? "")
      ]),
      (isPut) => Number(isPut) === 1
    ),

  tick: ({ at, isAsked, limit, name, next, overlap, revision, ticks }) =>
    Effect.map(
      stored<string>("tick", [
        Codec.clean(name),
        String(revision),
        instant(at),
        overlap,
        JSON.stringify(ticks.map(({ record, ...tick }) => ({ ...tick, record: Codec.certainOf(record) }))),
        instant(next.nextAt),
        instant(next.attendAt),
        next.body === undefined ? "" : "1",
        Codec.clean(next.body ?? ""),
        isAsked === true ? "1" : "",
        limit === undefined ? "" : String(limit)
      ]),
      (reply): JobStore.TickReply | undefined => {
        if (reply === "") return undefined
        const [now, ...answers] = reply.split(",")
        const outcomes: Array<JobStore.TickOutcome> = []
        for (let i = 0; i < answers.length; i += 2) {
          outcomes.push({ outcome: answers[i] as JobStore.TickOutcome["outcome"], id: Ids.unpack(answers[i + 1]!) })
        }
        return { now: Number(now), outcomes }
      }
    )
})

/** What `maintain` answers: its figures, the clock, and the schedules to see to. */
export type Maintained = readonly [figures: string, now: string, schedules: ReadonlyArray<string>]

export const maintained = ([figures, now, schedules]: Maintained): JobStore.MaintainReply => {
  const [rescued, quarantined, expired, swept, maintainIn] = figures.split(",")
  const reply = {
    rescued: Number(rescued),
    quarantined: Number(quarantined),
    expired: Number(expired),
    swept: Number(swept),
    maintainIn: instantOf(maintainIn!)
  }
  return schedules.length === 0 ? reply : { ...reply, schedules: { now: Number(now), rows: rowsOf(schedules) } }
}
