/** Mutants of TypeScript, by its syntax tree. */
import ts from "typescript-6"
import { type Mutant, mutantAt } from "./mutant.ts"

const operators: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ["<", ["<="]],
  ["<=", ["<"]],
  [">", [">="]],
  [">=", [">"]],
  ["===", ["!=="]],
  ["!==", ["==="]],
  ["+", ["-"]],
  ["-", ["+"]],
  ["*", ["/"]],
  ["/", ["*"]],
  ["+=", ["-="]],
  ["-=", ["+="]],
  ["&&", ["||"]],
  ["||", ["&&"]]
])

const names: ReadonlyMap<string, string> = new Map([["min", "max"], ["max", "min"]])

const isText = (node: ts.Node): boolean =>
  ts.isStringLiteralLike(node) || ts.isTemplateExpression(node) ||
  ts.isBinaryExpression(node) && (isText(node.left) || isText(node.right))

/** What is loaded and what is declared, but does not run. */
const isSilent = (node: ts.Node): boolean =>
  ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) ||
  ts.isImportDeclaration(node) || ts.isExportDeclaration(node)

export const mutantsOfTypeScript = (file: string, text: string): ReadonlyArray<Mutant> => {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const found: Array<Mutant> = []
  const put = (node: ts.Node, instead: string) => {
    found.push(mutantAt(file, text, node.getStart(source), node.end, instead))
  }
  const textOf = (node: ts.Node) => node.getText(source)

  const condition = (node: ts.Expression) => {
    for (const constant of ["true", "false"]) if (textOf(node) !== constant) put(node, constant)
  }

  const look = (node: ts.Node): void => {
    if (isSilent(node)) return
    if (ts.isBinaryExpression(node)) binary(node)
    else if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken) {
      put(node, textOf(node.operand))
    } else if (ts.isPostfixUnaryExpression(node) || ts.isPrefixUnaryExpression(node)) {
      const operator = textOf(node).includes("++") ? ["++", "--"] : ["--", "++"]
      if (textOf(node).includes(operator[0]!)) put(node, textOf(node).replace(operator[0]!, operator[1]!))
    } else if (ts.isIfStatement(node)) condition(node.expression)
    else if (ts.isConditionalExpression(node)) condition(node.condition)
    else if (ts.isWhileStatement(node)) put(node.expression, "false")
    else if (ts.isExpressionStatement(node) || ts.isContinueStatement(node) || ts.isBreakStatement(node)) put(node, ";")
    else if (ts.isReturnStatement(node) && node.expression === undefined) put(node, ";")
    else if (ts.isNumericLiteral(node)) {
      put(node, node.text === "0" ? "1" : node.text === "1" ? "0" : `(${node.text} + 1)`)
    } else if (node.kind === ts.SyntaxKind.TrueKeyword) put(node, "false")
    else if (node.kind === ts.SyntaxKind.FalseKeyword) put(node, "true")
    else if (ts.isArrayLiteralExpression(node)) {
      // A list of words is a set: each of them may be missing.
      if (node.elements.length > 0 && node.elements.every(ts.isStringLiteral)) {
        for (const each of node.elements) {
          put(node, `[${node.elements.filter((other) => other !== each).map(textOf).join(", ")}]`)
        }
      }
    } else if (ts.isPropertyAccessExpression(node) && textOf(node.expression) === "Math" && names.has(node.name.text)) {
      put(node.name, names.get(node.name.text)!)
    }
    ts.forEachChild(node, look)
  }

  const binary = (node: ts.BinaryExpression) => {
    const operator = textOf(node.operatorToken)
    if (operator === "+" && isText(node)) return
    for (const other of operators.get(operator) ?? []) put(node.operatorToken, other)
    if (operator === "&&" || operator === "||" || operator === "??") {
      put(node, textOf(node.left))
      put(node, textOf(node.right))
    }
  }

  look(source)
  return found
}
