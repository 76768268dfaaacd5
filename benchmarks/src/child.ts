/**
 * One scenario on one system: `child.ts <system> <scenario>` prints its figure as JSON.
 */
import { scenarios } from "./scenarios.ts"
import type { MakeSystem } from "./system.ts"

const [system, scenario] = process.argv.slice(2)
const { make }: { readonly make: MakeSystem } = await import(`./systems/${system}.ts`)
const figure = await scenarios[scenario!]!(make)
console.log(JSON.stringify(figure ?? null))
process.exit(0)
