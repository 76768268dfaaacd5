/**
 * A judge that runs test files with the mutant in place of its module, by vitest. Nothing is written to disk.
 *
 * Arguments: the files.
 */
import { relative } from "node:path"
import { fileURLToPath } from "node:url"
import { createVitest, type Reporter, type TestSpecification } from "vitest/node"
import { ordered, serve, tell } from "./judge.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))
const files = process.argv.slice(2)
const conditions = ["@capstan/source", "node", "module-sync", "default"]

const present = { path: "", text: "" }
let first: ReadonlyArray<string> = []
let failed: string | undefined

const nameOf = ({ moduleId }: TestSpecification) => relative(root, moduleId)

const reporter: Reporter = {
  onTestModuleStart: (module) => tell({ _tag: "Begun", check: module.moduleId }),
  onTestCaseReady: (test) => tell({ _tag: "Begun", check: test.fullName }),
  onTestCaseResult: (test) => {
    if (test.result().state === "failed") failed ??= `${relative(root, test.module.moduleId)}: ${test.name}`
  }
}

/** The file that killed the mutant before comes first. */
class FirstFirst {
  shard(specifications: Array<TestSpecification>) {
    return specifications
  }
  sort(specifications: Array<TestSpecification>) {
    return [...ordered(specifications, nameOf, first)]
  }
}

const vitest = await createVitest("test", {
  config: false,
  root,
  watch: false,
  include: files,
  reporters: [reporter],
  maxWorkers: 1,
  isolate: false,
  bail: 1,
  // It would keep mutants for others.
  fsModuleCache: false,
  silent: true,
  testTimeout: 30_000,
  hookTimeout: 30_000,
  // Of a busy machine some fail that look at real time: a mutant fails them twice.
  retry: 1,
  // What looks at a million records, or at what the docs say, tells nothing of a mutant that others do not; what looks at real
  // time, more of the machine.
  testNamePattern: /^(?!.*(a million records|ten thousand|lets the rest of the process run))/,
  sequence: { sequencer: FirstFirst },
  setupFiles: [`${root}scripts/servers/required.ts`]
}, {
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  plugins: [{
    name: "mutant",
    enforce: "pre",
    transform: (_, id) => id === present.path ? present.text : undefined
  }]
})

serve(async ({ file, text, ...question }) => {
  const before = present.path
  Object.assign(present, { path: root + file, text })
  first = question.first.map((name) => name.split(": ")[0]!)
  failed = undefined
  for (const path of [before, present.path]) if (path !== "") vitest.invalidateFile(path)
  const specifications = await vitest.globTestSpecifications()
  const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications, true)
  if (failed !== undefined) return { _tag: "Killed", by: failed }
  const broken = testModules.find((module) => !module.ok())
  if (broken !== undefined) return { _tag: "Killed", by: `${relative(root, broken.moduleId)}: it does not load` }
  if (unhandledErrors.length > 0) return { _tag: "Killed", by: "an error that nobody handles" }
  return { _tag: "Survived" }
})
