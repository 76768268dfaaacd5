/** One run of a fault, with all of its safeguards or without one: from an empty namespace to what is known of it. */
import { audit } from "./audit.ts"
import { Choices } from "./choices.ts"
import { Cluster } from "./cluster.ts"
import type { Fault, Run } from "./fault.ts"
import * as Ledger from "./ledger.ts"
import { Proxy } from "./proxy.ts"
import type { Safeguard, Server, Store } from "./store.ts"

export interface Place {
  readonly storeName: string
  readonly store: Store
  readonly server: Server
  readonly folder: string
  readonly programs: string
  readonly seed: number
  readonly seconds: number
}

export const attempt = async (
  fault: Fault,
  { folder, programs, seconds, seed, server, store, storeName }: Place,
  without?: Safeguard
): Promise<Run> => {
  const namespace = `${fault.id.toLowerCase()}${without === undefined ? "" : `_without_${without}`}`
  const choices = new Choices(seed, fault.id)
  await server.prepare(namespace)
  if (without !== undefined) await server.without(without, namespace)
  const cluster = new Cluster({ store: storeName, server, namespace, folder, programs, seed, choices })
  const proxies: Array<Proxy> = []
  const struck = new Map<string, number>()
  try {
    await fault.strike({
      cluster,
      choices,
      seconds,
      proxy: async () => {
        const proxy = await Proxy.start(server.port, store.framing)
        proxies.push(proxy)
        return proxy
      },
      struck: (what, times) => struck.set(what, (struck.get(what) ?? 0) + times)
    })
    const wedged = await cluster.stopProducers()
    const stuck = await cluster.rest()
    const stored = await server.records(namespace)
    await cluster.close()
    const entries = Ledger.read(cluster.folder)
    const findings = audit(entries, stored)
    return {
      findings: { ...findings, struck: new Map([...findings.struck, ...struck]) },
      entries,
      stored,
      stuck,
      wedged,
      complaints: cluster.complaints
    }
  } finally {
    await cluster.close()
    for (const proxy of proxies) await proxy.stop()
    await server.drop(namespace)
  }
}
