/**
 * Reads the public modules of the packages: those that `package.json` exports, without what is marked as internal.
 *
 * The sources are parsed and not checked: the types that a reader should see are those that are written down. It takes a
 * second for all packages, where a program of the checker takes twenty.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import ts from "typescript-6"
import { docOf, headerOf, isInternal } from "./comment.ts"
import type { Doc, Export, Member, Module } from "./model.ts"

/** The packages in the order in which a reader needs them. */
export const packages = ["capstan", "pg", "redis", "testing", "http", "alerts", "dashboard", "cli"]

/** All public modules of all packages. */
export const readAll = (root: string): ReadonlyArray<Module> => packages.flatMap((folder) => readPackage(root, folder))

/** All public modules of a package, by name. */
export const readPackage = (root: string, folder: string): ReadonlyArray<Module> => {
  const manifest: { readonly name: string; readonly exports: Readonly<Record<string, unknown>> } = JSON.parse(
    readFileSync(join(root, "packages", folder, "package.json"), "utf8")
  )
  if (manifest.exports["./*"] === undefined || manifest.exports["./internal/*"] !== null) {
    throw new Error(`packages/${folder}/package.json no longer exports its modules by "./*" and hides "./internal/*"`)
  }
  const source = `packages/${folder}/src`
  const index = readFileSync(join(root, source, "index.ts"), "utf8")
  const named = new Set([...index.matchAll(/^export \* as (\w+) from/gm)].map(([, name]) => name))
  return readdirSync(join(root, source))
    .filter((name) => name.endsWith(".ts") && name !== "index.ts" && isModule(root, `${source}/${name}`))
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((name) => readModule(root, manifest.name, `${source}/${name}`))
    .map((module) => ({ ...module, isNamed: named.has(module.name) }))
}

/** A program, such as `bin.ts` of the command line, exports nothing. */
const isModule = (root: string, path: string): boolean => /^export /m.test(readFileSync(join(root, path), "utf8"))

const readModule = (root: string, packageName: string, path: string): Module =>
  moduleOf(root, packageName, path, parse(root, path))

/** One by its text, which re-exports nothing. */
export const readText = (packageName: string, path: string, text: string): Module =>
  moduleOf("", packageName, path, ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true))

const moduleOf = (root: string, packageName: string, path: string, file: ts.SourceFile): Module => {
  const name = basename(path, ".ts")
  const includes: Array<string> = []
  const exports: Array<Export> = []
  for (const statement of file.statements) {
    if (!ts.isExportDeclaration(statement)) {
      exports.push(...exportsOf(file, path, statement))
      continue
    }
    if (statement.exportClause === undefined) {
      includes.push(basename(textOf(statement.moduleSpecifier!).slice(1, -1), ".ts"))
      continue
    }
    if (!ts.isNamedExports(statement.exportClause)) continue
    for (const element of statement.exportClause.elements) {
      exports.push(reexported(root, file, path, statement, element))
    }
  }
  return {
    packageName,
    name,
    specifier: `${packageName}/${name}`,
    isNamed: false,
    doc: headerOf(file),
    exports: merged(exports.filter(({ doc }) => !isInternal(doc))),
    includes
  }
}

const parse = (root: string, path: string): ts.SourceFile =>
  ts.createSourceFile(path, readFileSync(join(root, path), "utf8"), ts.ScriptTarget.ES2022, true)

/** A type and a value of one name are one thing to a reader: that which has members shows them. */
const merged = (exports: ReadonlyArray<Export>): ReadonlyArray<Export> => {
  const byName = new Map<string, Export>()
  for (const one of exports) {
    const other = byName.get(one.name)
    if (other === undefined) {
      byName.set(one.name, one)
      continue
    }
    const described = other.doc.text === "" ? one : other
    byName.set(one.name, {
      ...described,
      signature: `${other.signature}\n${one.signature}`,
      members: [...other.members, ...one.members],
      fails: other.fails ?? one.fails,
      needs: other.needs ?? one.needs
    })
  }
  return [...byName.values()]
}

// ---------------------------------------------------------------------------------------------------- declarations

const textOf = (node: ts.Node): string => node.getText()

const at = (file: ts.SourceFile, path: string, node: ts.Node): string =>
  `${path}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}`

const isExported = (node: ts.Statement): boolean =>
  ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true

const exportsOf = (file: ts.SourceFile, path: string, statement: ts.Statement): ReadonlyArray<Export> =>
  isExported(statement) ? declared(file, path, statement, docOf(file, statement)) : []

const declared = (file: ts.SourceFile, path: string, statement: ts.Statement, doc: Doc): ReadonlyArray<Export> => {
  const base = { doc, at: at(file, path, statement), fails: undefined, needs: undefined }
  if (ts.isInterfaceDeclaration(statement)) {
    const name = statement.name.text
    return [{
      ...base,
      name,
      kind: "interface",
      isOptions: isNameOfOptions(name),
      signature: plain(file, statement, statement.getStart(), statement.members.pos - 1).replace(/\s*\{$/, "").trim(),
      members: membersOf(file, statement.members)
    }]
  }
  if (ts.isTypeAliasDeclaration(statement)) {
    const name = statement.name.text
    return [{
      ...base,
      name,
      kind: "type",
      isOptions: isNameOfOptions(name),
      signature: plain(file, statement),
      members: ts.isTypeLiteralNode(statement.type) ? membersOf(file, statement.type.members) : []
    }]
  }
  if (ts.isClassDeclaration(statement)) {
    return [{
      ...base,
      name: statement.name!.text,
      kind: "class",
      isOptions: false,
      signature: `${plain(file, statement, statement.getStart(), statement.members.pos - 1)} {}`.replace(
        /\{\s*\{\}$/,
        "{}"
      ),
      members: [...shapeOf(file, statement), ...fieldsOf(file, statement), ...methodsOf(file, statement)]
    }]
  }
  if (!ts.isVariableStatement(statement)) {
    throw new Error(
      `${at(file, path, statement)}: a module exports interfaces, types, classes and constants, this is none`
    )
  }
  return statement.declarationList.declarations.map((declaration) => ({
    ...base,
    ...constant(file, declaration),
    name: textOf(declaration.name),
    kind: "const"
  }))
}

const isNameOfOptions = (name: string): boolean => /(Options|Settings|Config)$/.test(name)

/** The head of a function, or the value itself where it has no type. */
const constant = (
  file: ts.SourceFile,
  declaration: ts.VariableDeclaration
): Pick<Export, "fails" | "isOptions" | "members" | "needs" | "signature"> => {
  const name = textOf(declaration.name)
  const { initializer, type } = declaration
  const ofFunction = initializer !== undefined && ts.isArrowFunction(initializer) && type === undefined
  const signature = ofFunction
    ? `const ${name}: ${headOf(file, initializer)}`
    : type === undefined
    ? `const ${name} = ${initializer === undefined ? "" : plain(file, initializer)}`
    : `const ${name}: ${plain(file, type)}`
  const shown = ofFunction ? initializer : type
  const literals = shown === undefined ? [] : optionsIn(shown)
  return {
    signature: signature.split("\n").length > 60 ? `const ${name}: typeof ${name}` : signature,
    ...(ofFunction ? channels(file, initializer.type) : channels(file, type)),
    isOptions: literals.length > 0,
    members: [
      ...literals.flatMap((literal) => membersOf(file, literal.members)),
      ...(type === undefined ? describedFieldsOf(file, initializer) : [])
    ]
  }
}

/** `(a: A) => B`, of an arrow function with its body. */
const headOf = (file: ts.SourceFile, arrow: ts.ArrowFunction): string => {
  const result = arrow.type === undefined ? "" : ` ${plain(file, arrow.type)}`
  const head = plain(file, arrow, arrow.getStart(), arrow.parameters.end)
  return `${head.replace(/,$/, "")}${/\n/.test(head) && !head.endsWith("\n") ? "\n" : ""}) =>${result}`
}

/** The object types of parameters that are called options. */
const optionsIn = (shown: ts.Node): ReadonlyArray<ts.TypeLiteralNode> => {
  const signatures = ts.isArrowFunction(shown) || ts.isFunctionTypeNode(shown)
    ? [shown]
    : ts.isTypeLiteralNode(shown)
    ? shown.members.filter((member) => ts.isCallSignatureDeclaration(member))
    : []
  const found = new Map<string, ts.TypeLiteralNode>()
  const visit = (type: ts.TypeNode | undefined): void => {
    if (type === undefined) return
    if (ts.isTypeLiteralNode(type)) found.set(textOf(type), type)
    if (ts.isIntersectionTypeNode(type) || ts.isUnionTypeNode(type)) { for (const part of type.types) visit(part) }
  }
  for (const { parameters } of signatures) {
    for (const { name, type } of parameters) if (/^options$/i.test(textOf(name))) visit(type)
  }
  return [...found.values()]
}

const membersOf = (file: ts.SourceFile, members: ts.NodeArray<ts.TypeElement>): ReadonlyArray<Member> =>
  members.flatMap((member): ReadonlyArray<Member> => {
    const doc = docOf(file, member)
    if (isInternal(doc) || member.name === undefined || ts.isComputedPropertyName(member.name)) return []
    const optional = member.questionToken !== undefined
    const name = textOf(member.name)
    if (ts.isPropertySignature(member) && member.type !== undefined) {
      const result = ts.isFunctionTypeNode(member.type) ? member.type.type : member.type
      return [{ name, doc, optional, type: withoutUndefined(plain(file, member.type)), ...channels(file, result) }]
    }
    if (ts.isMethodSignature(member)) {
      const type = plain(file, member, member.name.end, member.end)
      return [{ name, doc, optional, type, ...channels(file, member.type) }]
    }
    return []
  })

/** What a service offers, where its shape has no name of its own. */
const shapeOf = (file: ts.SourceFile, declaration: ts.ClassDeclaration): ReadonlyArray<Member> => {
  const made = declaration.heritageClauses?.[0]?.types[0]?.expression
  if (made === undefined || !ts.isCallExpression(made) || !ts.isCallExpression(made.expression)) return []
  const shape = made.expression.typeArguments?.[1]
  return shape !== undefined && ts.isTypeLiteralNode(shape) ? membersOf(file, shape.members) : []
}

/** The fields of a class that a Schema makes: an error's, a record's. */
const fieldsOf = (file: ts.SourceFile, declaration: ts.ClassDeclaration): ReadonlyArray<Member> => {
  const made = declaration.heritageClauses?.[0]?.types[0]?.expression
  if (made === undefined || !ts.isCallExpression(made) || !textOf(made.expression).startsWith("Schema.")) return []
  return fieldsIn(file, made.arguments.find((argument) => ts.isObjectLiteralExpression(argument)))
}

/** Those of a Schema of fields about which something is said: the signature shows the others. */
const describedFieldsOf = (file: ts.SourceFile, made: ts.Expression | undefined): ReadonlyArray<Member> => {
  if (made === undefined || !ts.isCallExpression(made)) return []
  const { arguments: given, expression } = made
  if (ts.isPropertyAccessExpression(expression) && ts.isCallExpression(expression.expression)) {
    return describedFieldsOf(file, expression.expression)
  }
  return textOf(expression) === "Schema.Struct" ? fieldsIn(file, given[0]).filter(({ doc }) => doc.text !== "") : []
}

const fieldsIn = (file: ts.SourceFile, fields: ts.Expression | undefined): ReadonlyArray<Member> =>
  fields === undefined || !ts.isObjectLiteralExpression(fields) ? [] : fields.properties.flatMap((property) => {
    if (!ts.isPropertyAssignment(property)) return []
    const doc = docOf(file, property)
    return isInternal(doc) ? [] : [{
      name: textOf(property.name),
      doc,
      optional: false,
      type: plain(file, property.initializer),
      fails: undefined,
      needs: undefined
    }]
  })

/** Getters, methods and static members that have something written above. `message` is every error's. */
const methodsOf = (file: ts.SourceFile, declaration: ts.ClassDeclaration): ReadonlyArray<Member> =>
  declaration.members.flatMap((member): ReadonlyArray<Member> => {
    if (member.name === undefined || textOf(member.name) === "message" || ts.isComputedPropertyName(member.name)) {
      return []
    }
    const doc = docOf(file, member)
    if (isInternal(doc) || doc.text === "") return []
    const type = ts.isGetAccessor(member) || ts.isPropertyDeclaration(member) || ts.isMethodDeclaration(member)
      ? member.type
      : undefined
    const shown = ts.isMethodDeclaration(member)
      ? plain(file, member, member.name.end, member.type?.end ?? member.parameters.end + 1)
      : type === undefined
      ? ""
      : plain(file, type)
    return [{ name: textOf(member.name), doc, optional: false, type: shown, ...channels(file, type) }]
  })

/** Where the failures and the needs stand among the type's arguments. */
const places: Readonly<Record<string, readonly [fails: number, needs: number]>> = {
  "Effect.Effect": [1, 2],
  "Stream.Stream": [1, 2],
  "Layer.Layer": [1, 2]
}

const channels = (file: ts.SourceFile, type: ts.TypeNode | undefined): Pick<Member, "fails" | "needs"> => {
  const result = type !== undefined && ts.isFunctionTypeNode(type) ? type.type : type
  if (result === undefined || !ts.isTypeReferenceNode(result)) return { fails: undefined, needs: undefined }
  const place = places[textOf(result.typeName)]
  const shown = (i: number): string | undefined => {
    const argument = result.typeArguments?.[i]
    if (argument === undefined) return undefined
    const text = plain(file, argument).replaceAll(/\s+/g, " ").replace(/^\| /, "")
    return text === "never" ? undefined : text
  }
  return { fails: place && shown(place[0]), needs: place && shown(place[1]) }
}

/** `export { name } from`, or of what the module has imported: the comment stands there, or where it is declared. */
const reexported = (
  root: string,
  file: ts.SourceFile,
  path: string,
  statement: ts.ExportDeclaration,
  element: ts.ExportSpecifier
): Export => {
  const name = element.name.text
  const original = element.propertyName?.text ?? name
  const own = docOf(file, element)
  const from = statement.moduleSpecifier ?? importOf(file, original)
  const target = from === undefined ? path : join(dirname(path), textOf(from).slice(1, -1))
  if (!existsSync(join(root, target))) {
    throw new Error(`${at(file, path, element)}: ${name} is of a file that is not here`)
  }
  const source = from === undefined ? file : parse(root, target)
  for (const declaration of source.statements) {
    if (ts.isExportDeclaration(declaration) || ts.isImportDeclaration(declaration)) continue
    if (!isExported(declaration) && source !== file) continue
    const isIt = ts.isVariableStatement(declaration)
      ? declaration.declarationList.declarations.some((one) => textOf(one.name) === original)
      : "name" in declaration && declaration.name !== undefined && textOf(declaration.name as ts.Node) === original
    if (!isIt) continue
    const found = declared(source, target, declaration, own.text === "" ? docOf(source, declaration) : own)
      .find((one) => one.name === original)
    if (found !== undefined) return { ...found, name }
  }
  throw new Error(`${at(file, path, element)}: what ${name} stands for is not declared in ${target}`)
}

const importOf = (file: ts.SourceFile, name: string): ts.Expression | undefined =>
  file.statements.find((statement): statement is ts.ImportDeclaration =>
    ts.isImportDeclaration(statement) && statement.importClause?.namedBindings !== undefined &&
    ts.isNamedImports(statement.importClause.namedBindings) &&
    statement.importClause.namedBindings.elements.some((element) => element.name.text === name)
  )?.moduleSpecifier

// ---------------------------------------------------------------------------------------------------------- text

const withoutUndefined = (type: string): string => type.replace(/\s*\|\s*undefined$/, "")

/** The source of a node without comments and `export`, moved to the left margin. */
const plain = (file: ts.SourceFile, node: ts.Node, start = node.getStart(), end = node.end): string => {
  const source = file.text.slice(start, end)
  const scanner = ts.createScanner(ts.ScriptTarget.ES2022, false, ts.LanguageVariant.Standard, source)
  let text = ""
  for (let token = scanner.scan(); token !== ts.SyntaxKind.EndOfFileToken; token = scanner.scan()) {
    const isComment = token === ts.SyntaxKind.SingleLineCommentTrivia || token === ts.SyntaxKind.MultiLineCommentTrivia
    if (!isComment) text += scanner.getTokenText()
    else if (/\n[ ]*$/.test(text)) text = text.replace(/\n[ ]*$/, "")
  }
  const { character } = file.getLineAndCharacterOfPosition(start)
  const lineStart = start - character
  const indent = /^ */.exec(file.text.slice(lineStart))![0].length
  return text.split("\n")
    .map((line, i) => (i === 0 ? line : line.slice(Math.min(indent, /^ */.exec(line)![0].length))).trimEnd())
    .filter((line) => line !== "")
    .join("\n")
    .replace(/^export (declare )?/, "")
}
