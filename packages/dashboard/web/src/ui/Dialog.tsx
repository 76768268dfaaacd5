/** The browser's own dialog: it keeps the focus inside and gives it back. */
import { type ReactNode, useLayoutEffect, useRef } from "react"

export const Dialog = (
  { children, isBare = false, onClose, title, wide = false }: {
    readonly title: string
    readonly onClose: () => void
    readonly children: ReactNode
    readonly wide?: boolean
    /** Its content has no frame, and its title is said but not shown. */
    readonly isBare?: boolean
  }
) => {
  const dialog = useRef<HTMLDialogElement>(null)
  // It is closed while it is still there: else it has no focus to give back.
  useLayoutEffect(() => {
    const shown = dialog.current!
    if (!shown.open) shown.showModal()
    return () => shown.close()
  }, [])
  return (
    <dialog
      ref={dialog}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      onClick={(event) => event.target === dialog.current && onClose()}
      className={`panel w-[calc(100vw-1.5rem)] p-0 shadow-xl ${
        isBare ? "max-w-xl !mt-[12vh]" : wide ? "max-w-3xl" : "max-w-md"
      }`}
    >
      {isBare ? children : (
        <div className="p-4">
          <h2 className="mb-2 text-[15px] font-semibold">{title}</h2>
          {children}
        </div>
      )}
    </dialog>
  )
}
