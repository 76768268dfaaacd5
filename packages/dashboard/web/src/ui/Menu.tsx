/** A button with something under it, which Escape and a click beside it close. */
import { type ReactNode, useEffect, useId, useRef, useState } from "react"
import { Icon, type IconName } from "./Icon.tsx"

export const Menu = (
  { children, icon, label, title = label }: {
    /** What it is called. */
    readonly label: string
    /** What the button says, where that is more. */
    readonly title?: string
    readonly icon: IconName
    readonly children: (close: () => void) => ReactNode
  }
) => {
  const [isOpen, setOpen] = useState(false)
  const root = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const id = useId()
  const close = () => {
    setOpen(false)
    button.current?.focus()
  }
  useEffect(() => {
    if (!isOpen) return
    const beside = (event: Event) => {
      if (event.target instanceof Node && root.current?.contains(event.target) === false) setOpen(false)
    }
    // Wherever the focus is, and before anybody else takes the key.
    const leave = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return
      event.stopPropagation()
      close()
    }
    addEventListener("keydown", leave, true)
    addEventListener("pointerdown", beside)
    addEventListener("focusin", beside)
    return () => {
      removeEventListener("keydown", leave, true)
      removeEventListener("pointerdown", beside)
      removeEventListener("focusin", beside)
    }
  }, [isOpen])
  return (
    <div ref={root} className="relative">
      <button
        ref={button}
        type="button"
        className="btn h-[30px]"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={() => setOpen((open) => !open)}
      >
        <Icon name={icon} />
        <span className="max-w-40 truncate">{title}</span>
        <Icon name="down" size={12} />
      </button>
      {isOpen && (
        <div
          id={id}
          role="group"
          aria-label={label}
          className="panel absolute top-full z-20 mt-1 w-64 p-2 shadow-lg max-md:fixed max-md:inset-x-3 max-md:top-auto max-md:w-auto md:right-0"
        >
          {children(close)}
        </div>
      )}
    </div>
  )
}
