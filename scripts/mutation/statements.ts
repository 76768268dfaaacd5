/**
 * Mutants of SQL and of Lua, by their tokens: they stand in template literals, whose holes are left as they are.
 *
 * What is no statement any more is no mutant: the server refuses to take it, and it is not counted.
 */
import ts from "typescript-6"
import { type Mutant, mutantAt } from "./mutant.ts"

interface Token {
  readonly text: string
  readonly start: number
  readonly end: number
}

interface Language {
  /** Comments, texts, numbers, words and operators, the first that fits; what fits none is a token of one character. */
  readonly token: RegExp
  readonly comment: string
  readonly swaps: Readonly<Record<string, ReadonlyArray<string>>>
  /** Words behind which a condition has ended that stands in no brackets. */
  readonly ends: ReadonlyArray<string>
  /** A line that is a whole statement, which may be left out, and what stands there instead. */
  readonly statement: RegExp
  readonly nothing: string
  readonly and: string
  readonly negated: (condition: string) => string
}

const sql: Language = {
  token:
    /--[^\n]*|'(?:[^']|'')*'|\$\{(?:[^{}]|\{[^{}]*\})*\}|\d+(?:\.\d+)?|[A-Za-z_]\w*|:=|->>|->|::|<>|<=|>=|=>|\|\||\S/g,
  comment: "--",
  swaps: {
    "=": ["<>"],
    "<>": ["="],
    "<": ["<="],
    "<=": ["<"],
    ">": [">="],
    ">=": [">"],
    "+": ["-"],
    "-": ["+"],
    AND: ["OR"],
    OR: ["AND"],
    least: ["greatest"],
    greatest: ["least"],
    true: ["false"],
    false: ["true"],
    DESC: [""],
    NOT: [""]
  },
  ends: [
    "AND",
    "OR",
    "THEN",
    "ELSE",
    "WHEN",
    "END",
    "ORDER",
    "GROUP",
    "LIMIT",
    "FOR",
    "RETURNING",
    "UNION",
    "LOOP",
    "ON",
    "JOIN",
    "LEFT",
    "FROM",
    "WINDOW",
    "AS",
    ";",
    ",",
    "`"
  ],
  statement:
    /^[ \t]*((?:PERFORM |[rw]\.\w+ :=|v_\w+ :=|UPDATE |DELETE |INSERT |CONTINUE |EXIT )[^\n]*;|IF [^\n]* END IF;)[ \t]*$/gm,
  nothing: "NULL;",
  and: "AND",
  negated: (condition) => `NOT (${condition})`
}

const lua: Language = {
  token:
    /--[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\$\{(?:[^{}]|\{[^{}]*\})*\}|\d+(?:\.\d+)?|[A-Za-z_]\w*|==|~=|<=|>=|\.\.\.|\.\.|\S/g,
  comment: "--",
  swaps: {
    "==": ["~="],
    "~=": ["=="],
    "<": ["<="],
    "<=": ["<"],
    ">": [">="],
    ">=": [">"],
    "+": ["-"],
    "-": ["+"],
    "*": ["/"],
    and: ["or"],
    or: ["and"],
    min: ["max"],
    max: ["min"],
    true: ["false"],
    false: ["true"],
    not: [""]
  },
  ends: ["and", "or", "then", "do", "else", "end", "return", "local", "if", "`", ","],
  statement:
    /^[ \t]*((?:call\(|tell\(|count\(|L\.\w+\(|(?:row|its|state|changed|key)\.[\w.]+ = |\w+\(|if [^\n]* end$)[^\n]*)$/gm,
  nothing: "",
  and: "and",
  negated: (condition) => `not (${condition})`
}

const languages = { sql, lua }

const opening = new Set(["(", "[", "{"])
const closing = new Set([")", "]", "}"])

const tokensOf = (text: string, from: number, language: Language): ReadonlyArray<Token> =>
  [...text.matchAll(language.token)].flatMap((match) => {
    const [token] = match
    if (token.startsWith(language.comment)) return []
    return [{ text: token, start: from + match.index, end: from + match.index + token.length }]
  })

/** Where the condition ends that begins with this token. */
const endOf = (tokens: ReadonlyArray<Token>, from: number, { ends }: Language): number => {
  let depth = 0
  for (let i = from; i < tokens.length; i++) {
    const { text } = tokens[i]!
    if (closing.has(text) && --depth < 0) return i
    if (opening.has(text)) depth++
    else if (depth === 0 && i > from && ends.includes(text)) return i
  }
  return tokens.length
}

const isNumber = (text: string) => /^\d/.test(text)

const isBalanced = (text: string): boolean => {
  let depth = 0
  for (const character of text.replaceAll(/'[^']*'/g, "")) {
    if (opening.has(character)) depth++
    if (closing.has(character) && --depth < 0) return false
  }
  return depth === 0
}

const mutantsOfTemplate = (
  file: string,
  source: string,
  from: number,
  to: number,
  language: Language
): ReadonlyArray<Mutant> => {
  const text = source.slice(from, to)
  const tokens = tokensOf(text, from, language)
  const found: Array<Mutant> = []
  const put = (start: number, end: number, instead: string) => {
    found.push(mutantAt(file, source, start, end, instead))
  }
  tokens.forEach((token, i) => {
    for (const other of language.swaps[token.text] ?? []) put(token.start, token.end, other)
    if (isNumber(token.text) && tokens[i - 1]?.text !== "$") {
      put(token.start, token.end, token.text === "1" ? "0" : token.text === "0" ? "1" : `(${token.text} + 1)`)
    }
    if (token.text === language.and) {
      const end = endOf(tokens, i + 1, language)
      const last = tokens[end - 1]
      if (last !== undefined && end > i + 1) put(token.start, last.end, "")
    }
    if (token.text === "IF" && tokens[i + 1]?.text !== "NOT" && tokens[i - 1]?.text !== "END" || token.text === "if") {
      let end = i + 1
      while (end < tokens.length && !/^then$/i.test(tokens[end]!.text)) end++
      if (end >= tokens.length || end - i > 60) return
      const condition = [tokens[i + 1]!.start, tokens[end - 1]!.end] as const
      put(...condition, language.negated(source.slice(...condition)))
      put(...condition, "false")
    }
  })
  for (const match of text.matchAll(language.statement)) {
    const statement = match[1]!
    if (!isBalanced(statement)) continue
    const start = from + match.index + match[0].indexOf(statement)
    put(start, start + statement.length, language.nothing)
  }
  return found
}

export const mutantsOfStatements = (
  file: string,
  source: string,
  language: keyof typeof languages
): ReadonlyArray<Mutant> => {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true)
  const found: Array<Mutant> = []
  const look = (node: ts.Node): void => {
    // The holes of a template are code that writes text: a mutant of it would be one of all that it writes.
    if (ts.isTemplateExpression(node) || ts.isNoSubstitutionTemplateLiteral(node)) {
      found.push(...mutantsOfTemplate(file, source, node.getStart(tree) + 1, node.end - 1, languages[language]))
    } else ts.forEachChild(node, look)
  }
  look(tree)
  return found.toSorted((a, b) => a.start - b.start)
}
