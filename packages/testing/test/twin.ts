/** The memory store but for one line. */
import { assert } from "@effect/vitest"
import { JobStore, type JobWorker } from "capstan"
import { Effect, Layer } from "effect"
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

export interface Change {
  readonly file: string
  /** The one line, as it stands in the true store. */
  readonly line: string
  readonly instead: string
}

const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url))

/** Where its files are: what they export can be looked at. */
export const folderOf = (name: string): string => path(`.twins/${name.replaceAll(" ", "-")}`)

/** Copies with the line replaced. */
const change = (folder: string, { file, instead, line }: Change): void => {
  const original = readFileSync(`${folder}/${file}`, "utf8")
  assert.strictEqual(original.split(line).length, 2, `the line stands once in ${file}`)
  writeFileSync(`${folder}/${file}`, original.replace(line, () => instead))
}

/** What a copied file imports from beside its folder stays where it is. */
const redirect = (file: string, up: RegExp, to: (up: string) => string): void =>
  writeFileSync(file, readFileSync(file, "utf8").replaceAll(up, (_, up: string) => to(up)))

/** A copy of the memory store with the line replaced. */
export const twin = async (name: string, given: Change): Promise<Layer.Layer<JobStore.JobStore>> => {
  const folder = folderOf(name)
  rmSync(folder, { recursive: true, force: true })
  cpSync(path("../capstan/src/internal/memory"), folder, { recursive: true })
  change(folder, given)
  for (const each of readdirSync(folder)) {
    redirect(
      `${folder}/${each}`,
      /"((?:\.\.\/){1,2})/g,
      (up) => `"../../../capstan/src/${up.length === 3 ? "internal/" : ""}`
    )
  }
  const { make }: { readonly make: () => Effect.Effect<JobStore.Shape> } = await import(`${folder}/store.ts`)
  return Layer.effect(JobStore.JobStore, Effect.suspend(() => make()))
}

/** A copy of the worker, with a line of one of its files replaced. */
export const workerTwin = async (name: string, given: Change): Promise<typeof JobWorker.layer> => {
  const folder = folderOf(name)
  const internal = `${folder}/internal/worker`
  rmSync(folder, { recursive: true, force: true })
  cpSync(path("../capstan/src/internal/worker"), internal, { recursive: true })
  cpSync(path("../capstan/src/JobWorker.ts"), `${folder}/JobWorker.ts`)
  change(internal, given)
  redirect(`${folder}/JobWorker.ts`, /"(\.\/)(?!internal\/worker\/)/g, () => `"../../../capstan/src/`)
  for (const each of readdirSync(internal)) {
    redirect(
      `${internal}/${each}`,
      /"((?:\.\.\/){1,2})/g,
      (up) => `"../../../../../capstan/src/${up.length === 3 ? "internal/" : ""}`
    )
  }
  const { layer }: { readonly layer: typeof JobWorker.layer } = await import(`${folder}/JobWorker.ts`)
  return layer
}
