/**
 * The rules of who may import whom, as a function of the sources.
 *
 * A package imports packages of a lower layer only; core imports the stable part of `effect` only; and what declares a
 * job reaches neither the worker nor a store's implementation, so that a program that only enqueues does not bundle them.
 *
 * One import is let through: `JobStore.ts` has the memory store for `layerMemory`, its public name. A bundler leaves it out
 * where nobody calls that (`test/pack.test.ts` looks into the bundle); no other way leads there.
 */
import { posix } from "node:path"

/** Sources by their path from the repository's root, as in `packages/capstan/src/Job.ts`. */
export type Sources = ReadonlyMap<string, string>

interface Import {
  readonly specifier: string
  readonly typeOnly: boolean
}

/** `effect` lies below all of them. */
const layers: ReadonlyArray<ReadonlyArray<string>> = [
  ["capstan"],
  ["pg", "redis", "testing", "http", "alerts"],
  ["dashboard"],
  ["cli"],
  ["examples"]
]

const stores: ReadonlySet<string> = new Set(["pg", "redis"])

/** All that a program names which declares jobs and enqueues them. */
const declarations: ReadonlyArray<string> = [
  "Job",
  "JobContext",
  "JobError",
  "JobGroup",
  "JobHandle",
  "JobMiddleware",
  "JobRecord",
  "JobStore",
  "Transactional"
]

const core = "packages/capstan/src/"

const runtime = /^packages\/capstan\/src\/(JobWorker\.ts|internal\/(worker|memory)\/)/

/** What a bundler leaves out by itself. */
const isLetThrough = (file: string, target: string): boolean =>
  file === `${core}JobStore.ts` && target === `${core}internal/memory/store.ts`

/** Effect's folders are unstable but for `effect/testing`; its stable modules are named like types. */
const unstable = /^effect\/(?!testing(\/|$))[a-z]/

const importStatement = /(?:^|[\n;])\s*(?:import|export)\s+(type\s+)?(?:[\w$*{},\s]*?\bfrom\s*)?"([^"\n]+)"/g

const importCall = /\bimport\(\s*"([^"\n]+)"/g

/** Every rule that the sources break, one sentence each. */
export const violations = (sources: Sources): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (const [file, source] of sources) {
    for (const { specifier } of importsOf(source)) {
      const broken = brokenRule(file, specifier)
      if (broken !== undefined) found.push(`${file} imports ${specifier}: ${broken}`)
    }
  }
  return [...found, ...declarationsThatReachTheRuntime(sources)]
}

/** The unstable modules of `effect` that each package imports; packages without any are left out. */
export const unstableModules = (sources: Sources): Record<string, ReadonlyArray<string>> => {
  const modules: Record<string, Array<string>> = {}
  for (const [file, source] of sources) {
    for (const { specifier } of importsOf(source)) {
      if (!unstable.test(specifier)) continue
      const list = modules[packageOfFile(file)] ??= []
      if (!list.includes(specifier)) list.push(specifier)
    }
  }
  for (const list of Object.values(modules)) list.sort()
  return modules
}

const brokenRule = (file: string, specifier: string): string | undefined => {
  const from = packageOfFile(file)
  const to = isRelative(specifier) ? packageOfFile(resolve(file, specifier)) : packageOfSpecifier(specifier)
  const layer = layerOf(from)

  if (layer < 0) return `the package ${from} has no layer`
  if (to === undefined) {
    if (from !== "capstan") return undefined
    if (unstable.test(specifier)) return "core does not import unstable modules"
    return /^effect(\/|$)/.test(specifier) ? undefined : "core imports effect only"
  }
  if (from === to) return undefined
  if (stores.has(from) && stores.has(to)) return "stores do not import each other"
  return layerOf(to) >= 0 && layerOf(to) < layer ? undefined : `${from} does not lie above ${to}`
}

/** Follows the imports that remain at run time, breadth first, so that the chain it tells is a shortest one. */
const declarationsThatReachTheRuntime = (sources: Sources): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (const name of declarations) {
    const start = `${core}${name}.ts`
    const chains = new Map<string, ReadonlyArray<string>>([[start, [start]]])
    for (const [file, chain] of chains) {
      if (runtime.test(file)) {
        found.push(`${chain.map((link) => link.slice(core.length)).join(" -> ")}: a declaration reaches the runtime`)
        break
      }
      for (const { specifier, typeOnly } of importsOf(sources.get(file) ?? "")) {
        const target = isRelative(specifier) ? resolve(file, specifier) : undefined
        if (typeOnly || target === undefined || chains.has(target) || isLetThrough(file, target)) continue
        chains.set(target, [...chain, target])
      }
    }
  }
  return found
}

/**
 * What a module names in `import`, `export … from` and `import()`.
 *
 * `import { type A }` stays an import at run time (`verbatimModuleSyntax`), so only `import type` is type only.
 */
export const importsOf = (source: string): ReadonlyArray<Import> => {
  const code = withoutComments(source)
  const found: Array<Import> = []
  for (const match of code.matchAll(importStatement)) {
    found.push({ specifier: match[2] ?? "", typeOnly: match[1] !== undefined })
  }
  for (const match of code.matchAll(importCall)) {
    found.push({ specifier: match[1] ?? "", typeOnly: false })
  }
  return found
}

/** Examples in comments and code in templates import nothing. A string may hold what looks like a comment. */
const withoutComments = (source: string): string =>
  source.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g,
    (token) => token.startsWith("\"") ? token : token.startsWith("'") ? `"${token.slice(1, -1)}"` : ""
  )

const isRelative = (specifier: string): boolean => specifier.startsWith(".")

const resolve = (file: string, specifier: string): string => posix.join(posix.dirname(file), specifier)

const packageOfFile = (file: string): string => {
  const [root = "", name = ""] = file.split("/")
  return root === "packages" ? name : root
}

const packageOfSpecifier = (specifier: string): string | undefined => {
  if (/^capstan(\/|$)/.test(specifier)) return "capstan"
  const scoped = /^@capstan\/([^/]+)/.exec(specifier)?.[1]
  return scoped?.startsWith("example-") ? "examples" : scoped
}

const layerOf = (name: string): number => layers.findIndex((layer) => layer.includes(name))
