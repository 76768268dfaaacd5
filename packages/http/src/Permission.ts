/**
 * What may be done over HTTP, and which role may do it.
 *
 * Imports nothing of a server, so that a page in a browser may use it to hide what its user may not do.
 *
 * @since 0.1.0
 */

/**
 * What somebody may ask for. Every route of the API is one of them.
 *
 * @category models
 * @since 0.1.0
 */
export type Action = typeof actions[number]

/**
 * All actions, the harmless first.
 *
 * @category models
 * @since 0.1.0
 */
export const actions = [
  "view",
  "enqueue",
  "cancel",
  "retry",
  "promote",
  "reschedule",
  "reprioritise",
  "pause",
  "resume",
  "run",
  "edit",
  "limit",
  "delete",
  "drain",
  "purge"
] as const

/**
 * The usual three: `viewer` looks, `operator` does what can be taken back or repeated, `admin` removes records too.
 *
 * @category models
 * @since 0.1.0
 */
export type Role = typeof roles[number]

/**
 * All roles, from the one that may do least.
 *
 * @category models
 * @since 0.1.0
 */
export const roles = ["viewer", "operator", "admin"] as const

/**
 * The least role that may take an action.
 *
 * @category models
 * @since 0.1.0
 */
export const leastRole: Readonly<Record<Action, Role>> = {
  view: "viewer",
  enqueue: "operator",
  cancel: "operator",
  retry: "operator",
  promote: "operator",
  reschedule: "operator",
  reprioritise: "operator",
  pause: "operator",
  resume: "operator",
  run: "operator",
  edit: "operator",
  limit: "operator",
  delete: "admin",
  drain: "admin",
  purge: "admin"
}

/**
 * Whether a role may take an action, on any queue.
 *
 * @category guards
 * @since 0.1.0
 */
export const allows = (role: Role, action: Action): boolean => roles.indexOf(role) >= roles.indexOf(leastRole[action])
