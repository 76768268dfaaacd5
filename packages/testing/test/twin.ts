/** The memory store but for one line. */
import { assert } from "@effect/vitest"
import { JobStore } from "capstan"
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

/** A copy of the memory store with the line replaced. */
export const twin = async (name: string, { file, instead, line }: Change): Promise<Layer.Layer<JobStore.JobStore>> => {
  const folder = folderOf(name)
  rmSync(folder, { recursive: true, force: true })
  cpSync(path("../capstan/src/internal/memory"), folder, { recursive: true })
  const original = readFileSync(`${folder}/${file}`, "utf8")
  assert.strictEqual(original.split(line).length, 2, `the line stands once in ${file}`)
  writeFileSync(`${folder}/${file}`, original.replace(line, () => instead))
  for (const each of readdirSync(folder)) {
    const text = readFileSync(`${folder}/${each}`, "utf8")
    writeFileSync(
      `${folder}/${each}`,
      text.replaceAll(
        /"((?:\.\.\/){1,2})/g,
        (_, up: string) => `"../../../capstan/src/${up.length === 3 ? "internal/" : ""}`
      )
    )
  }
  const { make }: { readonly make: () => Effect.Effect<JobStore.Shape> } = await import(`${folder}/store.ts`)
  return Layer.effect(JobStore.JobStore, Effect.suspend(() => make()))
}
