/**
 * What a record carries, as a tree. Nothing in it is markup: every text is text, marks that turn or hide others are written
 * out, and what is long or deep is opened when it is asked for.
 */
import { useState } from "react"
import type { Excerpt } from "../api.ts"
import { bytes, exact, visible } from "../format.ts"
import { payloads } from "../store.ts"
import { Icon } from "./Icon.tsx"

const redacted = "<redacted>"
const shownChildren = 100
const openDepth = 3
const longText = 2000

type Parsed = { readonly value: unknown } | undefined

/** A text that was cut, or nested deeper than a parser goes, is shown as it came. */
const parse = ({ length, text }: Excerpt): Parsed => {
  if (text.length < length) return undefined
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

export const JsonView = (
  { excerpt, isLoading = false, onMore, title }: {
    readonly title: string
    readonly excerpt: Excerpt
    readonly onMore?: () => void
    readonly isLoading?: boolean
  }
) => {
  const isHidden = payloads.useHidden()
  const [isRaw, setRaw] = useState(false)
  const parsed = parse(excerpt)
  const isCut = excerpt.text.length < excerpt.length
  return (
    <section className="panel min-w-0 overflow-hidden">
      <div className="flex items-center gap-2 border-b border-line px-3 py-1.5">
        <h2 className="flex-1 font-semibold">{title}</h2>
        <span className="label">{bytes(excerpt.length)}</span>
        {parsed !== undefined && (
          <button
            type="button"
            className="btn btn-ghost px-2"
            aria-pressed={isRaw}
            onClick={() => setRaw(!isRaw)}
          >
            {isRaw ? "Tree" : "Raw"}
          </button>
        )}
        <button
          type="button"
          className="btn btn-ghost px-2"
          aria-label={`Copy ${title.toLowerCase()}`}
          title="Copy"
          onClick={() => void navigator.clipboard?.writeText(excerpt.text)}
        >
          <Icon name="copy" />
        </button>
      </div>
      <div
        className="max-h-[28rem] overflow-auto px-3 py-2 font-mono text-[12px] leading-[1.55]"
        tabIndex={0}
        role="region"
        aria-label={`${title}, as JSON`}
      >
        {isHidden
          ? <span className="text-faint">hidden on this screen</span>
          : parsed === undefined || isRaw
          ? <pre className="break-all whitespace-pre-wrap"><bdi>{visible(excerpt.text)}</bdi></pre>
          : <Value value={parsed.value} depth={0} />}
      </div>
      {isCut && (
        <div className="flex flex-wrap items-center gap-3 border-t border-line bg-raised px-3 py-1.5 text-soft">
          The first {exact(excerpt.text.length)} of {exact(excerpt.length)} characters.
          {onMore !== undefined && (
            <button type="button" className="link" disabled={isLoading} onClick={onMore}>
              {isLoading ? "Loading…" : "Load all"}
            </button>
          )}
        </div>
      )}
    </section>
  )
}

const Value = ({ depth, value }: { readonly value: unknown; readonly depth: number }) => {
  if (value === null) return <span className="text-faint">null</span>
  if (value === redacted) {
    return <span className="rounded bg-raised px-1 text-blocked" title="Its job marks it as sensitive">redacted</span>
  }
  if (typeof value === "string") return <Text text={value} />
  if (typeof value !== "object") return <span className="text-scheduled">{String(value)}</span>
  return <Branch value={value} depth={depth} />
}

const Text = ({ text }: { readonly text: string }) => {
  const [isOpen, setOpen] = useState(false)
  const isLong = text.length > longText
  return (
    <span className="break-words whitespace-pre-wrap text-completed">
      "<bdi>{visible(isLong && !isOpen ? text.slice(0, longText) : text)}</bdi>"
      {isLong && !isOpen && (
        <button type="button" className="link ml-2" onClick={() => setOpen(true)}>
          {exact(text.length - longText)} more characters
        </button>
      )}
    </span>
  )
}

const Branch = ({ depth, value }: { readonly value: object; readonly depth: number }) => {
  const isList = Array.isArray(value)
  const entries = Object.entries(value)
  const [isOpen, setOpen] = useState(depth < openDepth)
  const [shown, setShown] = useState(shownChildren)
  if (entries.length === 0) return <span className="text-faint">{isList ? "[]" : "{}"}</span>
  const [open, close] = isList ? ["[", "]"] : ["{", "}"]
  if (!isOpen) {
    return (
      <button
        type="button"
        className="text-soft hover:text-ink"
        aria-expanded={false}
        onClick={() => setOpen(true)}
      >
        {open} {exact(entries.length)} {close}
      </button>
    )
  }
  return (
    <span>
      <button
        type="button"
        className="text-faint hover:text-ink"
        aria-expanded={true}
        aria-label="Fold"
        onClick={() => setOpen(false)}
      >
        {open}
      </button>
      <span className="block pl-4">
        {entries.slice(0, shown).map(([name, child]) => (
          <span key={name} className="block">
            {!isList && (
              <>
                <span className="text-soft">
                  <bdi>{visible(name)}</bdi>
                </span>
                {": "}
              </>
            )}
            <Value value={child} depth={depth + 1} />
          </span>
        ))}
        {entries.length > shown && (
          <button
            type="button"
            className="link"
            onClick={() => setShown(shown + 10 * shownChildren)}
          >
            {exact(entries.length - shown)} more
          </button>
        )}
      </span>
      <span className="text-faint">{close}</span>
    </span>
  )
}
