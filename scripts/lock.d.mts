/** What is looked at of a lock file. */
export interface Lock {
  readonly packages: Readonly<Record<string, {
    readonly dev?: boolean
    readonly optionalDependencies?: Readonly<Record<string, string>>
    readonly [field: string]: unknown
  }>>
}

export const missing: (lock: Lock) => Lock["packages"]
export const complete: (lock: Lock) => Lock
