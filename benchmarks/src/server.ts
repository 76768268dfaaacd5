/**
 * What a scenario needs of a server beside the system under measurement. `systems/<store>/server.ts` gives it.
 */
export interface Server {
  /** Version, and the settings that decide what a commit costs. */
  readonly describe: () => Promise<string>
  /** Makes a database under this name, once; `prepare` is given its url and must have closed all connections to it. */
  readonly template: (name: string, prepare: (url: string) => Promise<void>) => Promise<void>
  /** The url of a new copy of a template. */
  readonly copy: (template: string) => Promise<string>
  /** Statistics, as a server that has run for a while has them. */
  readonly analyze: (url: string) => Promise<void>
  /** Opens a transaction that sees all of a database and has written to it, and answers what ends it; where there are any. */
  readonly hold?: (url: string) => Promise<() => Promise<void>>
  /** Bytes of log written so far. */
  readonly logged?: () => Promise<number>
  /** Bytes of memory that its data takes. */
  readonly used?: () => Promise<number>
  /** Runs this with every write appended to a log that is synced each second, by a server that keeps none else. */
  readonly durably?: <A>(work: () => Promise<A>) => Promise<A>
  /** CPU microseconds of its processes so far; `undefined` when they are not on this machine. */
  readonly cpu: () => Promise<number | undefined>
  /** Drops the copies. */
  readonly dropCopies: () => Promise<void>
  /** Drops the templates. */
  readonly dropTemplates: () => Promise<void>
  readonly close: () => Promise<void>
}

/** All names begin with `prefix`, which is this run's own. */
export type OpenServer = (url: string, prefix: string) => Promise<Server>
