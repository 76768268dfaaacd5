/** What a comment says: its text, its example, its tags. */
import ts from "typescript-6"
import type { Doc } from "./model.ts"

const noDoc: Doc = { text: "", closing: [], examples: [], category: undefined, byDefault: undefined }

/** The comment that stands right above a node. */
export const docOf = (file: ts.SourceFile, node: ts.Node): Doc => {
  const last = (ts.getLeadingCommentRanges(file.text, node.getFullStart()) ?? []).at(-1)
  return last === undefined ? noDoc : docOfComment(file.text.slice(last.pos, last.end))
}

/** The comment on top of a file belongs to the module, unless only one stands there and a declaration follows. */
export const headerOf = (file: ts.SourceFile): Doc => {
  const first = file.statements[0]
  if (first === undefined) return noDoc
  const ranges = ts.getLeadingCommentRanges(file.text, first.getFullStart()) ?? []
  const isOwn = ts.isImportDeclaration(first) || ts.isExportDeclaration(first) || ranges.length > 1
  return ranges[0] !== undefined && isOwn ? docOfComment(file.text.slice(ranges[0].pos, ranges[0].end)) : noDoc
}

const docOfComment = (comment: string): Doc => {
  if (!comment.startsWith("/**")) return noDoc
  const lines = comment.slice(3, -2).split("\n").map((line) => line.replace(/^\s*\* ?/, "").trimEnd())
  const text: Array<string> = []
  const closing: Array<string> = []
  const examples: Array<string> = []
  const tags = new Map<string, string>()
  let tag: string | undefined
  let part = text
  let fence: Array<string> | undefined
  for (const line of lines) {
    const start = fence === undefined ? /^\s*@(\w+)\s*(.*)$/.exec(line) : null
    if (fence === undefined && start === null && tag !== undefined) {
      if (line.trim() !== "") tags.set(tag, `${tags.get(tag)} ${line.trim()}`.trim())
      continue
    }
    if (start !== null) {
      tag = start[1]!
      tags.set(tag, start[2]!)
      continue
    }
    if (fence === undefined && /^\*\*\w/.test(line)) part = line === "**Example**" ? closing : text
    part.push(line)
    if (line.trim() === "```" && fence !== undefined) {
      examples.push(fence.join("\n"))
      fence = undefined
    } else if (line.trim() === "```ts") fence = []
    else fence?.push(line)
  }
  if (tags.has("internal")) text.push("@internal")
  const markdown = (part: ReadonlyArray<string>) => part.join("\n").replaceAll(/\n{3,}/g, "\n\n").trim()
  return {
    text: markdown(text),
    closing: closing.length === 0 ? [] : [markdown(closing)],
    examples,
    category: tags.get("category"),
    byDefault: tags.get("default")
  }
}

export const isInternal = ({ text }: Doc): boolean => text.includes("@internal")
