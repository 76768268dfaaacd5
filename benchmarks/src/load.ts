import type { Features } from "./features.ts"
import type { OpenServer } from "./server.ts"
import type { MakeSystem } from "./system.ts"

interface Module {
  readonly make: MakeSystem
  readonly features?: Features
}

/** Those of memory are beside this file; those of a server, whose packages only the bench installs, one folder up. */
const load = (store: string, name: string): Promise<Module> =>
  import(store === "memory" ? `./systems/${name}.ts` : `../systems/${store}/${name}.ts`)

export const loadSystem = async (store: string, name: string): Promise<MakeSystem> => (await load(store, name)).make

/** `undefined`: the system has none of them. */
export const loadFeatures = async (store: string, name: string): Promise<Features | undefined> =>
  (await load(store, name)).features

export const loadServer = async (store: string): Promise<OpenServer> => {
  const { open }: { readonly open: OpenServer } = await import(`../systems/${store}/server.ts`)
  return open
}
