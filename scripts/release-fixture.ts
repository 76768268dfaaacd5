/**
 * `npm run release-fixture`: keeps this release as it is published, for the releases after it to run beside (P11).
 *
 * `fixtures/releases/<version>` gets the archive of every package, the dump of each store's schema, and the programs that
 * the tests drive, in the words of this release. A release that is out is never written again.
 */
import { spawnSync } from "node:child_process"
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../", import.meta.url))

interface Manifest {
  readonly version: string
  readonly private?: boolean
}

const manifest = (folder: string): Manifest =>
  JSON.parse(readFileSync(`${root}packages/${folder}/package.json`, "utf8"))

const run = (command: string, args: ReadonlyArray<string>, cwd: string): void => {
  const { error, status, stderr, stdout } = spawnSync(command, args, { cwd, encoding: "utf8" })
  if (status === 0) return
  console.error(`${command} ${args.join(" ")} failed\n${stdout}${stderr}${error?.message ?? ""}`)
  process.exit(1)
}

const { version } = manifest("capstan")
const target = `${root}fixtures/releases/${version}`
rmSync(target, { recursive: true, force: true })
mkdirSync(target, { recursive: true })

const folders = readdirSync(`${root}packages`).filter((folder) => manifest(folder).private !== true)
// What is left there of modules that are gone would be published too.
for (const folder of folders) rmSync(`${root}packages/${folder}/dist`, { recursive: true, force: true })
run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-b", "tsconfig.build.json"], root)
for (const folder of folders) {
  run("npm", ["pack", "--ignore-scripts", "--pack-destination", target], `${root}packages/${folder}`)
}
copyFileSync(`${root}packages/pg/schema.sql`, `${target}/pg-schema.sql`)
for (const store of ["pg", "redis"]) {
  copyFileSync(`${root}packages/${store}/test/programs/release.ts`, `${target}/${store}-program.ts`)
}

for (const file of readdirSync(target)) {
  console.log(`fixtures/releases/${version}/${file}  ${(statSync(`${target}/${file}`).size / 1024).toFixed(0)} KiB`)
}
