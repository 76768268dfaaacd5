/** One run of a fault, with all of its safeguards or without one: from an empty namespace to what is known of it. */
import { Jobs } from "capstan"
import { Effect, Layer } from "effect"
import { join } from "node:path"
import { audit } from "./audit.ts"
import { bundleBefore } from "./child.ts"
import { Choices } from "./choices.ts"
import { Cluster, lease } from "./cluster.ts"
import type { Fault, Run } from "./fault.ts"
import { Soak } from "./jobs/soak.ts"
import * as Ledger from "./ledger.ts"
import type { Entry } from "./ledger.ts"
import { Proxy } from "./proxy.ts"
import type { Address, Safeguard, Server, Store, Stored } from "./store.ts"
import { doomed, Jobs as workload } from "./workload.ts"

/** Runs the dead again, as an operator would, but for those that deserve it; answers how many. */
const replay = (store: Store, address: Address): Promise<number> =>
  Effect.gen(function*() {
    const jobs = yield* Jobs.Jobs
    const counts = yield* Effect.forEach(
      [...workload.jobs.keys()].filter((tag) => !doomed.has(tag)),
      (tag) => jobs.retry({ tag, states: ["dead"] })
    )
    return counts.reduce((sum, { changed }) => sum + changed, 0)
  }).pipe(Effect.provide(Jobs.layer.pipe(Layer.provide(store.layer(address)))), Effect.runPromise)

/** With the finished records that the store has swept: those of which the ledger says that it took their completion. */
const withSwept = (found: ReadonlyArray<Stored>, entries: ReadonlyArray<Entry>): ReadonlyArray<Stored> => {
  const known = new Set(found.map(({ id }) => id))
  const sent = new Map(entries.filter(({ kind }) => kind === "acknowledged").map(({ id, n }) => [id, n]))
  const ended = new Set(entries.filter(({ kind }) => kind === "end").map(({ fence, id }) => `${id} ${fence}`))
  const completed = entries.filter(({ fence, id, kind, word }) =>
    kind === "answer" && word === "settle Done" && !known.has(id) && ended.has(`${id} ${fence}`)
  )
  const swept = completed.map(({ fence, id }): Stored => ({
    id,
    tag: Soak._tag,
    payload: JSON.stringify({ n: sent.get(id) }),
    state: "completed",
    result: JSON.stringify({ fence }),
    attempt: 1,
    failed: [],
    deaths: []
  }))
  return [...found, ...swept]
}

export interface Place {
  readonly storeName: string
  readonly store: Store
  readonly server: Server
  readonly folder: string
  readonly programs: string
  readonly seed: number
  readonly seconds: number
  readonly isQuick: boolean
}

/** On the server of all faults, or on one of the fault's own. */
export const attempt = async (fault: Fault, place: Place, without?: Safeguard): Promise<Run> => {
  if (fault.special === undefined) return attemptOn(place.server, fault, place, without)
  const server = await place.store.start(fault.special)
  try {
    return await attemptOn(server, fault, place, without)
  } finally {
    await server.stop()
  }
}

const attemptOn = async (
  server: Server,
  fault: Fault,
  { folder, isQuick, programs, seconds, seed, store, storeName }: Place,
  without?: Safeguard
): Promise<Run> => {
  const namespace = `${fault.id.toLowerCase()}${without === undefined ? "" : `_without_${without}`}`
  const choices = new Choices(seed, fault.id)
  await server.prepare(namespace)
  if (without !== undefined) await server.without(without, namespace)
  const before = fault.isMixed === true ? join(folder, `${namespace}_before`) : undefined
  if (before !== undefined) await bundleBefore(before, without === "compatibility")
  const cluster = new Cluster({ store: storeName, server, namespace, without, folder, programs, before, seed, choices })
  const began = Ledger.now()
  const proxies: Array<Proxy> = []
  const struck = new Map<string, number>()
  const seen = new Map<string, Array<number>>()
  const saw = (what: string, value: number) => void seen.set(what, [...seen.get(what) ?? [], value])
  try {
    await fault.strike({
      cluster,
      choices,
      lease,
      seconds,
      store,
      proxy: async () => {
        const proxy = await Proxy.start(server.port, store.framing)
        proxies.push(proxy)
        return proxy
      },
      struck: (what, times) => struck.set(what, (struck.get(what) ?? 0) + times),
      saw
    })
    const wedged = await cluster.stopProducers()
    // What is stuck in a control may as well be known earlier.
    const first = await cluster.rest(without === undefined ? undefined : 3 * lease)
    const replayed = await replay(store, { url: server.urlAt(server.port), namespace, without })
    const stuck = replayed > 0 ? await cluster.rest() : first
    const found = await server.records(namespace)
    await fault.look?.({ server, namespace, saw })
    await cluster.close()
    const entries = Ledger.read(cluster.folder)
    const stored = fault.isSwept === true ? withSwept(found, entries) : found
    const findings = audit(entries, stored)
    return {
      isQuick,
      resumesIn: store.resumesIn,
      findings: { ...findings, struck: new Map([...findings.struck, ...struck]) },
      entries,
      stored,
      seen,
      stuck,
      replayed,
      wedged,
      complaints: cluster.complaints,
      seconds: (Ledger.now() - began) / 1000
    }
  } finally {
    await cluster.close()
    for (const proxy of proxies) await proxy.stop()
    await server.drop(namespace)
  }
}
