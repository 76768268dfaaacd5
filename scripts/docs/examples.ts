/**
 * The examples of the comments as programs: `test/examples` has a file for each, which is compiled and run with the tests.
 *
 * An example says what it is about, and no more. What it imports follows from the names that it uses: the modules of the
 * packages, what an Effect program has at hand, and what `test/examples/setting.ts` has for the rest of them, such as the
 * jobs of a shop.
 */
import ts from "typescript-6"
import type { Module } from "./model.ts"

const fromEffect: ReadonlySet<string> = new Set(["Effect", "Layer", "Redacted", "Schema"])

/** Every file of `test/examples` that is generated, by its name. `setting` is the text of `setting.ts`. */
export const examples = (modules: ReadonlyArray<Module>, setting: string): ReadonlyMap<string, string> => {
  const known = new Map(modules.map(({ name, packageName }) => [name, packageName]))
  const inSetting = declaredIn(parse(setting))
  const files = new Map<string, string>()
  const add = (name: string, what: string, programs: ReadonlyArray<string>) => {
    for (const [i, program] of programs.entries()) {
      const suffix = programs.length > 1 ? `.${i + 1}` : ""
      files.set(`${name}${suffix}.ts`, fileOf(what, program, known, inSetting))
    }
  }
  for (const module of modules) {
    add(module.name, module.specifier, module.doc.examples)
    for (const one of module.exports) {
      add(`${module.name}.${one.name}`, `\`${one.name}\` of ${module.specifier}`, one.doc.examples)
    }
  }
  return files
}

const parse = (text: string): ts.SourceFile => ts.createSourceFile("example.ts", text, ts.ScriptTarget.ES2022, true)

const fileOf = (
  what: string,
  program: string,
  known: ReadonlyMap<string, string>,
  inSetting: ReadonlySet<string>
): string => {
  const file = parse(program)
  const own = file.statements.filter((statement) => ts.isImportDeclaration(statement)).map((one) => one.getText())
  const start = file.statements.find((statement) => !ts.isImportDeclaration(statement))?.getStart() ?? 0
  const code = program.slice(start)
  // By itself `yield*` would be a product.
  const inGenerator = parse(`async function* example() {\n${code}\n}`).statements[0]!
  const declared = declaredIn(file)
  const isEffect = hasIn(inGenerator, ts.isYieldExpression)
  const used = new Set([...usedIn(file), ...(isEffect ? ["Effect"] : [])])
  const free = [...used].filter((name) => !declared.has(name))
  const imports = new Map<string, Array<string>>()
  for (const name of free.toSorted((a, b) => (a < b ? -1 : 1))) {
    const from = known.get(name) ??
      (fromEffect.has(name) ? "effect" : inSetting.has(name) ? "./setting.ts" : undefined)
    if (from !== undefined) imports.set(from, [...imports.get(from) ?? [], name])
  }
  const body = code.split("\n").map((line) => line === "" ? "" : `  ${line}`).join("\n")
  return [
    `// Written by \`npm run docs\`: the example of ${what}.`,
    ...own,
    ...[...imports].map(([from, names]) => `import { ${names.join(", ")} } from "${from}"`),
    "",
    isEffect
      ? `export const run = Effect.gen(function*() {\n${body}\n})`
      : hasIn(inGenerator, ts.isAwaitExpression)
      ? `export const run = async () => {\n${body}\n}`
      : `export const run = () => {\n${body}\n}`,
    ""
  ].join("\n")
}

/** Whether it stands in a function, and in no other one within. */
const hasIn = (node: ts.Node, isIt: (node: ts.Node) => boolean): boolean =>
  ts.forEachChild(node, (child) => isIt(child) || (!ts.isFunctionLike(child) && hasIn(child, isIt))) ?? false

/** All names that are declared anywhere in it: one that is used outside of its scope is no compiling example anyway. */
const declaredIn = (file: ts.SourceFile): ReadonlySet<string> => {
  const names = new Set<string>()
  const visit = (node: ts.Node): void => {
    const isDeclaration = ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isBindingElement(node) ||
      ts.isClassDeclaration(node) || ts.isFunctionDeclaration(node) || ts.isImportSpecifier(node) ||
      ts.isNamespaceImport(node) || ts.isExportSpecifier(node) || ts.isNamespaceExport(node)
    if (isDeclaration && node.name !== undefined && ts.isIdentifier(node.name)) names.add(node.name.text)
    ts.forEachChild(node, visit)
  }
  visit(file)
  return names
}

const usedIn = (file: ts.SourceFile): ReadonlySet<string> => {
  const names = new Set<string>()
  const visit = (node: ts.Node): void => {
    const { parent } = node
    const isName = ts.isIdentifier(node) &&
      !(ts.isPropertyAccessExpression(parent) && parent.name === node) &&
      !(ts.isPropertyAssignment(parent) && parent.name === node)
    if (isName) names.add(node.text)
    ts.forEachChild(node, visit)
  }
  visit(file)
  return names
}
