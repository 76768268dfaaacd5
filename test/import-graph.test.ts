import { globSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { importsOf, type Sources, unstableModules, violations } from "./importGraph.ts"

const root = fileURLToPath(new URL("../", import.meta.url))

const sources: Sources = new Map(
  globSync(["packages/*/src/**/*.ts", "examples/*/src/**/*.ts"], { cwd: root })
    .map((file) => [file.replaceAll("\\", "/"), readFileSync(root + file, "utf8")])
)

describe("the sources", () => {
  it("are read", () => {
    expect(sources.has("packages/capstan/src/Job.ts")).toBe(true)
  })

  it("break no rule", () => {
    expect(violations(sources)).toEqual([])
  })

  it("import these unstable modules of effect", () => {
    expect(unstableModules(sources)).toEqual({
      alerts: [
        "effect/http/FetchHttpClient",
        "effect/http/HttpClient",
        "effect/http/HttpClientRequest",
        "effect/http/HttpClientResponse"
      ],
      cli: [
        "effect/cli",
        "effect/cli/CliError",
        "effect/crypto/Mac",
        "effect/crypto/SecureRandom",
        "effect/encoding/Base64Url",
        "effect/http/HttpMiddleware",
        "effect/http/HttpRouter",
        "effect/http/HttpServer",
        "effect/http/HttpServerRequest",
        "effect/http/HttpServerResponse"
      ],
      dashboard: ["effect/http/HttpRouter"],
      examples: [
        "effect/http",
        "effect/http/FetchHttpClient",
        "effect/observability/Otlp",
        "effect/persistence/Redis",
        "effect/sql/SqlError"
      ],
      http: [
        "effect/crypto/Mac",
        "effect/crypto/SecureRandom",
        "effect/encoding/Base64",
        "effect/encoding/Hex",
        "effect/http-api/HttpApi",
        "effect/http-api/HttpApiBuilder",
        "effect/http-api/HttpApiClient",
        "effect/http-api/HttpApiEndpoint",
        "effect/http-api/HttpApiError",
        "effect/http-api/HttpApiGroup",
        "effect/http-api/HttpApiMiddleware",
        "effect/http-api/HttpApiSchema",
        "effect/http-api/OpenApi",
        "effect/http/HttpClient",
        "effect/http/HttpClientRequest",
        "effect/http/HttpEffect",
        "effect/http/HttpIncomingMessage",
        "effect/http/HttpRouter",
        "effect/http/HttpServer",
        "effect/http/HttpServerError",
        "effect/http/HttpServerRequest",
        "effect/http/HttpServerResponse",
        "effect/observability/PrometheusMetrics"
      ],
      pg: ["effect/sql/SqlClient", "effect/sql/SqlError"],
      redis: ["effect/persistence/Redis", "effect/sql/SqlClient"]
    })
  })

  it("of core need effect alone", () => {
    const core = JSON.parse(readFileSync(`${root}packages/capstan/package.json`, "utf8"))
    expect(Object.keys(core.peerDependencies)).toEqual(["effect"])
    expect([core.dependencies, core.optionalDependencies, core.bundledDependencies]).toEqual(Array(3).fill(undefined))
  })

  it.each(readdirSync(`${root}packages`))("the range of %s for effect fits what it imports", (name) => {
    const { peerDependencies } = JSON.parse(readFileSync(`${root}packages/${name}/package.json`, "utf8"))
    // A minor release may change an unstable module, so who imports one accepts patches only.
    expect(peerDependencies.effect).toBe(name in unstableModules(sources) ? "~4.1.0" : "^4.1.0")
  })
})

describe("a planted violation is found", () => {
  const job = "packages/capstan/src/Job.ts"

  it.each([
    ["a lower package imports a higher one", "packages/pg/src/a.ts", "@capstan/cli", "pg does not lie above cli"],
    [
      "the page imports the command line",
      "packages/dashboard/src/a.ts",
      "@capstan/cli",
      "dashboard does not lie above cli"
    ],
    ["packages of one layer", "packages/http/src/a.ts", "@capstan/alerts", "http does not lie above alerts"],
    [
      "a package imports an example",
      "packages/cli/src/a.ts",
      "@capstan/example-hello",
      "cli does not lie above examples"
    ],
    ["a store imports another", "packages/pg/src/a.ts", "@capstan/redis/RedisStore", "stores do not import each other"],
    ["a path into another package", "packages/pg/src/a.ts", "../../redis/src/b.ts", "stores do not import each other"],
    ["core imports a package above it", job, "@capstan/testing", "capstan does not lie above testing"],
    ["core imports a foreign package", job, "redis", "core imports effect only"],
    ["core imports a builtin of Node", job, "node:fs", "core imports effect only"],
    ["core imports an unstable module", job, "effect/sql/SqlClient", "core does not import unstable modules"],
    ["a package without a layer", "packages/extra/src/a.ts", "effect", "the package extra has no layer"]
  ])("%s", (_, file, specifier, rule) => {
    const expected = [`${file} imports ${specifier}: ${rule}`]
    expect(violations(new Map([[file, `import * as A from "${specifier}"\n`]]))).toEqual(expected)
    expect(violations(new Map([[file, `import type { A } from "${specifier}"\n`]]))).toEqual(expected)
    expect(violations(new Map([[file, `export * from "${specifier}"\n`]]))).toEqual(expected)
  })

  it.each(["JobWorker.ts", "internal/worker/pump.ts", "internal/memory/store.ts"])(
    "a declaration reaches %s",
    (target) => {
      const planted = (keyword: string): Sources =>
        new Map([
          [job, "import { enqueue } from \"./internal/enqueue.ts\"\n"],
          ["packages/capstan/src/internal/enqueue.ts", `${keyword} { a } from "../${target}"\n`]
        ])
      expect(violations(planted("import"))).toEqual([
        `Job.ts -> internal/enqueue.ts -> ${target}: a declaration reaches the runtime`
      ])
      expect(violations(planted("import type"))).toEqual([])
    }
  )

  it.each([
    ["internal/memory/store.ts", []],
    ["internal/memory/settle.ts", ["JobStore.ts -> internal/memory/settle.ts: a declaration reaches the runtime"]]
  ])("the store's module reaches %s: %j", (target, expected) => {
    const planted = new Map([["packages/capstan/src/JobStore.ts", `import { a } from "./${target}"\n`]])
    expect(violations(planted)).toEqual(expected)
  })

  it.each(["JobMiddleware", "JobContext"])("%s is a declaration", (name) => {
    const planted = new Map([[`packages/capstan/src/${name}.ts`, "import { a } from \"./JobWorker.ts\"\n"]])
    expect(violations(planted)).toEqual([`${name}.ts -> JobWorker.ts: a declaration reaches the runtime`])
  })

  it("an unstable module is listed once per package", () => {
    const file = "import * as A from \"effect/sql/SqlClient\"\n"
    expect(unstableModules(new Map([["packages/pg/src/a.ts", file], ["packages/pg/src/b.ts", file]]))).toEqual({
      pg: ["effect/sql/SqlClient"]
    })
  })
})

describe("importsOf", () => {
  it("reads what spans lines, and dynamic imports", () => {
    const source = ["import {", "  a,", "  type B", "} from './a.ts'", "const b = import('./b.ts')", "import './c.ts'"]
    expect(importsOf(source.join("\n"))).toEqual([
      { specifier: "./a.ts", typeOnly: false },
      { specifier: "./c.ts", typeOnly: false },
      { specifier: "./b.ts", typeOnly: false }
    ])
  })

  it("passes over comments, strings and templates", () => {
    const source = [
      "/**",
      " * import a from 'a'",
      " */",
      "// import b from 'b'",
      "const c = `",
      "import c from 'c'",
      "`"
    ]
    expect(importsOf(source.join("\n"))).toEqual([])
    expect(importsOf("const url = 'http://x'; import d from 'd'")).toEqual([{ specifier: "d", typeOnly: false }])
  })
})
