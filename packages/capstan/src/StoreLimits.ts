/**
 * Limits as a store keeps them: named settings of a queue or of a space of keys, and how single keys stand.
 *
 * All of it is part of `JobStore`, under whose name it is imported.
 *
 * @since 0.1.0
 */

/**
 * At most `limit` starts in any `perMillis` milliseconds, evenly spaced; `burst` of them may come at once after a pause.
 * In any window of that length at most `limit + burst - 1` start.
 *
 * @category limits
 * @since 0.1.0
 */
export interface Rate {
  /** How many start within `perMillis`. */
  readonly limit: number
  /** The length of the window, in milliseconds. */
  readonly perMillis: number
  /** How many may start at once after a pause. */
  readonly burst: number
}

/**
 * A circuit breaker of each key. So many attempts that failed one after the other open it: nothing of the key starts for
 * `openMillis`. Then it is half open: one probes, and its success closes the circuit, its failure opens it again. An attempt
 * that neither succeeded nor failed (snoozed, released, cancelled) counts for nothing, as does what ends while it is open.
 *
 * @category limits
 * @since 0.1.0
 */
export interface Breaker {
  /** How many attempts in a row must fail. */
  readonly consecutive: number
  /** How long nothing starts then, in milliseconds. */
  readonly openMillis: number
}

/**
 * What a limit says. What is left out is not limited.
 *
 * @category limits
 * @since 0.1.0
 */
export interface LimitSettings {
  /**
   * At most so many run at a time, over all workers.
   *
   * @default no limit
   */
  readonly concurrency?: number | undefined
  /**
   * How many may start in a time, over all workers.
   *
   * @default no limit
   */
  readonly rate?: Rate | undefined
  /**
   * When failures in a row stop the starts of a key. Has a meaning for keys alone.
   *
   * @default none
   */
  readonly breaker?: Breaker | undefined
  /**
   * `fair`: within a priority its keys take turns, one record each. Has a meaning for keys alone.
   *
   * @default "fifo"
   */
  readonly order?: "fifo" | "fair" | undefined
}

/**
 * A change of the settings of a queue, or of a space of keys.
 *
 * `name` is the queue's, or `@` and the name of the space: keys of the space `mail` are `@mail/…`. A proposal holds when its
 * release is at least the one of the proposal before. Until there is one, the limit holds that each record carries. An override wins over all proposals, setting by setting, until it is
 * cleared with `undefined`.
 *
 * A proposal of release -1 is made by who enqueues: its `order` holds until there is another one, and nothing else of it. A limit that
 * has no more than that is not among the answers.
 *
 * @category limits
 * @since 0.1.0
 */
export type LimitChange =
  | { readonly _tag: "Propose"; readonly name: string; readonly release: number; readonly settings: LimitSettings }
  | { readonly _tag: "Override"; readonly name: string; readonly settings: LimitSettings | undefined }

/**
 * A limit as it is stored.
 *
 * @category limits
 * @since 0.1.0
 */
export interface LimitRow {
  readonly name: string
  /** Of the proposal; -1 while nobody has made one. */
  readonly release: number
  readonly proposed: LimitSettings
  readonly override: LimitSettings | undefined
}

/**
 * One page of the keys of a space, in the order of their names.
 *
 * @category limits
 * @since 0.1.0
 */
export interface KeysRequest {
  /** `@` and the name of the space. */
  readonly name: string
  /** How many keys the page has at most. */
  readonly limit: number
  /** The last key of the page before. */
  readonly after?: string | undefined
}

/**
 * How one key stands. A key that nothing waits for, that nothing holds and that is not limited is not kept.
 *
 * @category limits
 * @since 0.1.0
 */
export interface KeyRow {
  readonly key: string
  /** Records that wait for its turn, counted up to 10,000; up to a hundred or more where a store has to count them one by one. */
  readonly waiting: number
  /** Records that may be claimed now. */
  readonly ready: number
  /** Records that a worker holds. */
  readonly running: number
  /** The instant until which nothing of it starts, because a handler said so or its circuit is open. */
  readonly limitedUntil: number | undefined
  /** Attempts that failed one after the other, where its limit has a circuit breaker. */
  readonly failed: number
}
