/** One run of another system under a fault of ours: the same blows, the same ledger, on the same server. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Choices } from "./choices.ts"
import { Cluster, lease as ours, poll } from "./cluster.ts"
import { type Fault, type Line, line, none } from "./fault.ts"
import * as Ledger from "./ledger.ts"
import { loadPeer, peerFolder } from "./peer.ts"
import { auditPeer } from "./peerAudit.ts"
import { figuresOf, type Found } from "./report.ts"
import type { Place } from "./trial.ts"

export const attemptPeer = async (
  fault: Fault,
  system: string,
  { folder, seconds, seed, server, store }: Place
): Promise<Found> => {
  const peer = await loadPeer(system)
  const namespace = `${fault.id.toLowerCase()}_${system.replaceAll("-", "_")}`
  const address = { url: server.urlAt(server.port), namespace }
  await peer.prepare(address)
  const observer = await peer.observe(address)
  const choices = new Choices(seed, fault.id)
  const cluster = new Cluster({
    store: system,
    server: { ...server, unfinished: observer.unfinished },
    namespace,
    without: undefined,
    folder,
    programs: shims(join(folder, "peers")),
    before: undefined,
    seed,
    choices
  })
  const lease = peer.lease ?? ours
  // Several freezes in a row, each longer than the lease, and a handler as long: only what stays after that is stuck.
  const patience = 15 * lease + poll
  const began = Ledger.now()
  const struck = new Map<string, number>()
  try {
    await fault.strike({
      cluster,
      choices,
      lease,
      seconds,
      store,
      proxy: () => Promise.reject(new Error(`${fault.id} strikes through a proxy: no other system is put under it`)),
      struck: (what, times) => struck.set(what, (struck.get(what) ?? 0) + times),
      saw: () => {}
    })
    const wedged = await cluster.stopProducers()
    const left = await cluster.rest(patience)
    const dead = (await observer.records()).filter(({ state }) => state === "dead").length
    const replayed = await observer.revive()
    const stuck = replayed > 0 ? await cluster.rest(patience) : left
    const records = await observer.records()
    await cluster.close()
    const findings = auditPeer(Ledger.read(cluster.folder), records)
    const all = { ...findings, struck: new Map([...findings.struck, ...struck]) }
    const lines: ReadonlyArray<Line> = [
      line(`acknowledged ${all.acknowledged}`, all.acknowledged > 0),
      line(`left to an operator: ${left} that no worker takes, ${dead} dead`, left === 0),
      none("lost", all.lost),
      none("unexpected", all.unexpected),
      none("done twice", all.doneTwice),
      none("ghost", all.ghost),
      line(`stale settlements accepted ${all.stale.accepted} of ${all.stale.attempted}`, all.stale.accepted === 0),
      line(`stuck ${stuck}`, stuck === 0),
      none("wedged", wedged),
      none("processes that ended by themselves", cluster.complaints)
    ]
    return {
      fault: fault.id,
      system,
      title: fault.title,
      settings: peer.settings,
      figures: figuresOf({ findings: all, replayed, seconds: (Ledger.now() - began) / 1000, stuck, wedged }),
      lines,
      pass: lines.every(({ holds }) => holds)
    }
  } finally {
    await cluster.close()
    await observer.close()
    await server.drop(namespace)
  }
}

/** They run from where their packages are. */
const shims = (folder: string): string => {
  mkdirSync(folder, { recursive: true })
  for (const program of ["worker", "producer"]) {
    writeFileSync(join(folder, `${program}.mjs`), `import "${new URL(`${program}.ts`, peerFolder).href}"\n`)
  }
  return folder
}
