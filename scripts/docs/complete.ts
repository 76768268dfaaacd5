/** What is missing in the comments of the public modules. */
import type { Export, Member, Module } from "./model.ts"

/** One line for each thing that a reader would look for in vain. */
export const missing = (modules: ReadonlyArray<Module>): ReadonlyArray<string> => modules.flatMap(ofModule)

const ofModule = (module: Module): ReadonlyArray<string> => [
  ...(module.doc.text === "" ? [`${module.specifier}: the module has no description`] : []),
  ...module.exports.flatMap((one) => ofExport(one))
]

const ofExport = (one: Export): ReadonlyArray<string> => [
  ...(one.doc.text === "" ? [`${one.at}: ${one.name} has no description`] : []),
  ...(repeats(one.name, one.doc.text) ? [`${one.at}: what is said of ${one.name} says its name only`] : []),
  ...one.members.flatMap((member) => ofMember(one, member))
]

/**
 * Fields of a record need no words where their names and types say it. Options do, as does what can be called, and a number:
 * what it counts, or its unit.
 */
const ofMember = (one: Export, { doc, fails, name, optional, type }: Member): ReadonlyArray<string> => {
  const isOption = one.isOptions || one.doc.category === "options"
  const isCall = fails !== undefined || /^\(|^<|=>/.test(type)
  const isNumber = /\bnumber\b|Schema\.(Number|Int)\b/.test(type)
  const what = `${one.at}: ${isOption ? "option" : "member"} ${one.name}.${name}`
  return [
    ...((isOption || isCall || isNumber) && doc.text === "" ? [`${what} has no description`] : []),
    ...(repeats(name, doc.text) ? [`${what}: its description says its name only`] : []),
    ...(isOption && optional && (doc.byDefault ?? "") === "" ? [`${what} has no @default`] : [])
  ]
}

const small = new Set(["a", "an", "the", "of", "its", "this", "is", "for", "to"])

/** Whether a description has no word that is not in the name: "The name" of `name`. */
const repeats = (name: string, text: string): boolean => {
  if (text === "") return false
  const words: ReadonlyArray<string> = text.toLowerCase().match(/[a-z]+/g) ?? []
  const own: ReadonlyArray<string> = name.replaceAll(/([A-Z])/g, " $1").toLowerCase().match(/[a-z]+/g) ?? []
  return words.every((word) => small.has(word) || own.includes(word))
}
