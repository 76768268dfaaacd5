/** All mutants of a module, and how each is named where it is published. */
import { readFileSync } from "node:fs"
import { languageOf, type Module, root } from "./modules.ts"
import { described, type Mutant } from "./mutant.ts"
import type { Survivor } from "./published.ts"
import { mutantsOfStatements } from "./statements.ts"
import { mutantsOfTypeScript } from "./typescript.ts"

const texts = new Map<string, string>()

export const textOf = (file: string): string => {
  const known = texts.get(file) ?? readFileSync(new URL(file, root), "utf8")
  texts.set(file, known)
  return known
}

export const mutantsOf = ({ files }: Pick<Module, "files">): ReadonlyArray<Mutant> =>
  files.flatMap((file) => {
    const language = languageOf(file)
    return language === "typescript"
      ? mutantsOfTypeScript(file, textOf(file))
      : mutantsOfStatements(file, textOf(file), language)
  })

export const placeOf = ({ file, line, start }: Mutant): string =>
  `${file}:${line}:${start - textOf(file).lastIndexOf("\n", start - 1)}`

export const inWords = (mutant: Mutant): string => described(textOf(mutant.file), mutant)

export const survivorOf = (mutant: Mutant): Pick<Survivor, "mutant" | "place"> => ({
  place: placeOf(mutant),
  mutant: inWords(mutant)
})

export const keyOf = ({ mutant, place }: Pick<Survivor, "mutant" | "place">): string => `${place} ${mutant}`
