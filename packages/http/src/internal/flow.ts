/**
 * One flow: its graph as its head tells it, and its records counted by node. A flow of a thousand records is one reading; of a
 * larger one so many are read as `most`, and that is shared by whoever asks in the next ten seconds.
 */
import { Flow, JobRecord, type Jobs } from "capstan"
import * as Cache from "effect/Cache"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Insight from "../ApiInsight.ts"
import type { Bounded } from "./bounded.ts"
import { noCounts, nodeOf } from "./seen.ts"
import { present, summaryOf } from "./view.ts"

const page = 1000
const most = 10_000
const shownOfNode = 50

/** Which of a node's records are shown before others. */
const ranks = ["dead", "running", "cancelled", "scheduled", "ready", "blocked", "completed"] as const

/** The records of one node and queue: permissions are by queue. */
interface Group {
  readonly node: string
  readonly queue: string
  readonly counts: ReturnType<typeof noCounts>
  readonly shown: Map<JobRecord.State, Array<JobRecord.JobRecord>>
}

interface Seen {
  readonly groups: Map<string, Group>
  name: string | undefined
  head: { readonly queue: string; readonly outline: Flow.Outline } | undefined
  isCut: boolean
}

const see = (seen: Seen, id: string, record: JobRecord.JobRecord): void => {
  const [flow, label] = nodeOf(record.tags) ?? []
  seen.name ??= flow
  if (record.id === id) seeHead(seen, record)
  const node = label ?? record.tag
  const key = JSON.stringify([node, record.queue])
  let group = seen.groups.get(key)
  if (group === undefined) {
    seen.groups.set(key, group = { node, queue: record.queue, counts: noCounts(), shown: new Map() })
  }
  group.counts[record.state]++
  const shown = group.shown.get(record.state)
  if (shown === undefined) group.shown.set(record.state, [record])
  else if (shown.length < shownOfNode) shown.push(record)
}

const seeHead = (seen: Seen, record: JobRecord.JobRecord): void => {
  const outline = Flow.outlineOf(record)
  if (Option.isSome(outline)) seen.head = { queue: record.queue, outline: outline.value }
}

const seenOf = (id: string, records: ReadonlyArray<JobRecord.JobRecord>): Seen => {
  const seen: Seen = { groups: new Map(), name: undefined, head: undefined, isCut: false }
  for (const record of records) see(seen, id, record)
  return seen
}

/** Also of a flow with more records than are read, whose nodes of one record lie anywhere among them. */
const readLarge = Effect.fnUntraced(function*(jobs: Jobs.Shape, id: string) {
  const seen = seenOf(id, [])
  let cursor: string | undefined
  let many = 0
  do {
    const reply = yield* jobs.query({ flowId: id, order: "oldest", limit: page, cursor })
    for (const record of reply.records) see(seen, id, record)
    many += reply.records.length
    cursor = Option.getOrUndefined(reply.cursor)
  } while (cursor !== undefined && many < most)
  seen.isCut = cursor !== undefined
  if (!seen.isCut) return seen
  if (seen.head === undefined) Option.map(yield* jobs.get(id), (record) => seeHead(seen, record))
  const found = new Set([...seen.groups.values()].map(({ node }) => node))
  const outline = seen.head?.outline
  for (const { name } of outline?.nodes ?? []) {
    if (found.has(name)) continue
    const { records } = yield* jobs.query({ flowId: id, label: `${outline!.name}/${name}`, limit: shownOfNode })
    for (const record of records) see(seen, id, record)
  }
  return seen
})

/** What of it may be seen; `undefined` if nothing. */
const viewOf = (
  id: string,
  seen: Seen,
  may: (queue: string) => boolean
): typeof Insight.FlowView.Type | undefined => {
  const groups = [...seen.groups.values()].filter(({ queue }) => may(queue))
  if (groups.length === 0) return undefined
  const outline = seen.head !== undefined && may(seen.head.queue) ? seen.head.outline : undefined
  const declared = new Map(outline?.nodes.map((node) => [node.name, node]))
  const counts = noCounts()
  const nodes = [...new Set([...declared.keys(), ...groups.map(({ node }) => node)])].map((name) => {
    const own = groups.filter(({ node }) => node === name)
    const ofNode = noCounts()
    for (const group of own) {
      for (const state of JobRecord.states) {
        ofNode[state] += group.counts[state]
        counts[state] += group.counts[state]
      }
    }
    const node = declared.get(name)
    return present({
      name,
      isList: node?.isList,
      after: node?.after,
      counts: ofNode,
      records: ranks.flatMap((state) => own.flatMap(({ shown }) => shown.get(state) ?? [])).slice(0, shownOfNode)
        .map(summaryOf)
    })
  })
  return present({ id, name: outline?.name ?? seen.name, counts, nodes, isCut: seen.isCut })
}

/** Reads a flow, for who may see these queues. */
export const make = (jobs: Jobs.Shape, bounded: Bounded["Service"]) =>
  Effect.map(
    // Who is told to come again is so by the request that asks: whoever shares a reading takes no turn of their own.
    Cache.makeWith((id: string) => bounded.read(readLarge(jobs, id)), {
      requireServicesAt: "lookup",
      capacity: 32,
      timeToLive: (exit) => Exit.isSuccess(exit) ? "10 seconds" : 0
    }),
    (large) => (id: string, may: (queue: string) => boolean) =>
      Effect.gen(function*() {
        const { cursor, records } = yield* jobs.query({ flowId: id, limit: page, order: "oldest" })
        const seen = Option.isNone(cursor) ? seenOf(id, records) : yield* Cache.get(large, id)
        return viewOf(id, seen, may)
      })
  )
