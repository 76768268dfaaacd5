/** Writes the modules as Markdown: one page for each, and one that lists them. */
import type { Doc, Export, Member, Module } from "./model.ts"

const folderOf = ({ packageName }: Module): string => packageName.replace("@capstan/", "")

const pathOf = (module: Module): string => `${folderOf(module)}/${module.name}.md`

/** Every page of `docs/api`, by its path there. */
export const pages = (modules: ReadonlyArray<Module>): ReadonlyMap<string, string> =>
  new Map([
    ["README.md", contents(modules)],
    ...modules.map((module): [string, string] => [pathOf(module), page(module, modules)])
  ])

const contents = (modules: ReadonlyArray<Module>): string => {
  const names = [...new Set(modules.map(({ packageName }) => packageName))]
  const lists = names.map((name) => {
    const rows = modules.filter(({ packageName }) => packageName === name)
      .map((module) => `| [${module.name}](${pathOf(module)}) | ${inCell(firstSentence(module.doc))} |`)
    return `## ${name}\n\n| module | what it is |\n|---|---|\n${rows.join("\n")}`
  })
  return `# API\n\nEvery public module, from the comments of its source: \`npm run docs\` writes these pages.\n\n${
    lists.join("\n\n")
  }\n`
}

/** Where a class is described, by the names that signatures have for it. */
type Linked = ReadonlyMap<string, string>

const page = (module: Module, all: ReadonlyArray<Module>): string => {
  const links = linksOf(module, all)
  const anchors = anchorsOf(module)
  const rows = module.exports.map((one) =>
    `| [\`${one.name}\`](#${anchors.get(one.name)}) | ${inCell(firstSentence(one.doc))} |`
  )
  const parts = [
    `# ${module.name}`,
    code(importOf(module)),
    module.doc.text,
    ...module.doc.closing,
    ...(module.includes.length === 0
      ? []
      : [`It has all exports of ${module.includes.map((name) => `[${name}](${name}.md)`).join(", ")} as well.`]),
    ...(rows.length === 0 ? [] : [`| export | what it is |\n|---|---|\n${rows.join("\n")}`]),
    ...categoriesOf(module).flatMap((category) => [
      `## ${category}`,
      ...inCategory(module, category).map((one) => section(one, links))
    ])
  ]
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`
}

/** By its name from the package, or by itself. */
const importOf = ({ isNamed, name, packageName, specifier }: Module): string => {
  const alone = `import * as ${name} from "${specifier}"`
  return isNamed ? `import { ${name} } from "${packageName}"\n// or by itself\n${alone}` : alone
}

/** Names of errors and services in "Fails with" lead to their pages. */
const linksOf = (module: Module, all: ReadonlyArray<Module>): Linked => {
  const own = new Map<string, string>()
  for (const other of all) {
    const anchors = anchorsOf(other)
    for (const one of other.exports) {
      if (one.kind !== "class") continue
      const page = other === module
        ? ""
        : `${folderOf(other) === folderOf(module) ? "" : `../${folderOf(other)}/`}${other.name}.md`
      const target = `${page}#${anchors.get(one.name)}`
      own.set(`${other.name}.${one.name}`, target)
      if (other === module || !own.has(one.name)) own.set(one.name, target)
    }
  }
  return own
}

/**
 * What the heading of each export is found by: the second of one name has a number, as `Options` below `options`. Headings
 * of a page are its module, and its categories with their exports.
 */
const anchorsOf = (module: Module): ReadonlyMap<string, string> => {
  const seen = new Map<string, number>()
  const anchor = (heading: string): string => {
    const slug = heading.toLowerCase().replaceAll(" ", "-")
    const times = seen.get(slug) ?? 0
    seen.set(slug, times + 1)
    return times === 0 ? slug : `${slug}-${times}`
  }
  const anchors = new Map<string, string>()
  anchor(module.name)
  for (const category of categoriesOf(module)) {
    anchor(category)
    for (const { name } of inCategory(module, category)) anchors.set(name, anchor(name))
  }
  return anchors
}

const categoryOf = ({ doc }: Export): string => doc.category ?? "more"

const categoriesOf = (module: Module): ReadonlyArray<string> => [...new Set(module.exports.map(categoryOf))]

const inCategory = (module: Module, category: string): ReadonlyArray<Export> =>
  module.exports.filter((one) => categoryOf(one) === category)

const section = (one: Export, links: Linked): string =>
  [
    `### ${one.name}`,
    code(one.signature),
    one.doc.text,
    ...channelLines(one, links),
    ...members(one, links),
    ...one.doc.closing
  ].filter((part) => part !== "").join("\n\n")

const code = (text: string): string => `\`\`\`ts\n${text}\n\`\`\``

const channelLines = ({ fails, needs }: Pick<Export, "fails" | "needs">, links: Linked): ReadonlyArray<string> => [
  ...(fails === undefined ? [] : [`Fails with ${linked(fails, links)}.`]),
  ...(needs === undefined ? [] : [`Needs ${linked(needs, links)}.`])
]

/** `A | B`, each with a link where there is a page. A type that is computed stays as it is. */
const linked = (text: string, links: Linked): string => {
  const parts = /[<([{]/.test(text) ? [text] : text.split("|").map((part) => part.trim())
  return parts.map((part) => links.has(part) ? `[\`${part}\`](${links.get(part)})` : `\`${part}\``).join(", ")
}

const members = (one: Export, links: Linked): ReadonlyArray<string> => {
  if (one.members.length === 0) return []
  if (one.isOptions || one.doc.category === "options") return [optionTable(one.members)]
  const isLong = one.members.some(({ type }) => type.includes("=>") || type.includes("\n") || type.length > 70)
  return [isLong ? one.members.map((member) => entry(member, links)).join("\n\n") : memberTable(one.members)]
}

const optionTable = (options: ReadonlyArray<Member>): string => {
  const rows = options.map(({ doc, name, optional, type }) =>
    `| \`${name}\` | ${inCode(type)} | ${optional ? defaultOf(doc) : "required"} | ${inCell(doc.text)} |`
  )
  return `| option | type | default | meaning |\n|---|---|---|---|\n${rows.join("\n")}`
}

const defaultOf = ({ byDefault = "" }: Doc): string => {
  const isValue = /^("[^"]*"|-?[\d_.,]+|true|false|\[\]|\{\}|Infinity|undefined)$/.test(byDefault)
  return isValue ? `\`${byDefault}\`` : inCell(byDefault)
}

const memberTable = (rows: ReadonlyArray<Member>): string => {
  const lines = rows.map(({ doc, name, optional, type }) =>
    `| \`${name}${optional ? "?" : ""}\` | ${inCode(type)} | ${inCell(doc.text)} |`
  )
  return `| member | type | meaning |\n|---|---|---|\n${lines.join("\n")}`
}

const entry = (member: Member, links: Linked): string =>
  [
    code(
      `${member.name}${member.optional ? "?" : ""}${
        /^[<(]/.test(member.type) && !member.type.includes("=>") ? "" : ": "
      }${member.type}`
    ),
    member.doc.text,
    ...(member.doc.byDefault === undefined ? [] : [`Default: ${defaultOf(member.doc)}.`]),
    ...channelLines(member, links)
  ].filter((part) => part !== "").join("\n\n")

const inCell = (text: string): string =>
  text.replaceAll(/\n\n/g, "<br>").replaceAll(/\n- /g, "<br>- ").replaceAll("\n", " ").replaceAll("|", "\\|")

const inCode = (type: string): string =>
  `\`${type.replaceAll(/\s+/g, " ").replace(/^\| /, "").replaceAll("|", "\\|")}\``

/** A full stop inside of a name, a number or a code is none. */
const firstSentence = ({ text }: Doc): string => {
  const paragraph = text.split("\n\n")[0]!.replaceAll("\n", " ")
  return /^.*?[^.]\.(?= [A-Z`]|$)/.exec(paragraph)?.[0] ?? paragraph.replace(/:$/, ".")
}
