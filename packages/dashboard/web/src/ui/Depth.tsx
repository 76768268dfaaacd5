import { Link } from "@tanstack/react-router"
import type { State } from "../api.ts"
import { count, exact } from "../format.ts"
import { colourOf } from "./parts.tsx"

/** How many of a queue are in a state, and the way to them. */
export const Depth = (
  { of, queue, state }: { readonly queue: string; readonly state: State; readonly of: number }
) =>
  of === 0
    ? <span className="text-faint">0</span>
    : (
      <Link
        to="/records"
        search={{ queue, state }}
        className={`hover:underline ${state === "dead" ? colourOf(state) : ""}`}
        title={exact(of)}
      >
        {count(of)}
      </Link>
    )
