import type { OpenServer } from "./server.ts"
import type { MakeSystem } from "./system.ts"

/** Those of memory are beside this file; those of a server, whose packages only the bench installs, one folder up. */
export const loadSystem = async (store: string, name: string): Promise<MakeSystem> => {
  const path = store === "memory" ? `./systems/${name}.ts` : `../systems/${store}/${name}.ts`
  const { make }: { readonly make: MakeSystem } = await import(path)
  return make
}

export const loadServer = async (store: string): Promise<OpenServer> => {
  const { open }: { readonly open: OpenServer } = await import(`../systems/${store}/server.ts`)
  return open
}
