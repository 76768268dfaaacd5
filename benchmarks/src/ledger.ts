/**
 * The ledger: how often each job ran. It stands outside every system under measurement; each handler writes to it.
 */
export class Ledger {
  private readonly times: Uint8Array
  private done = 0
  private readonly waiting: Array<{ readonly at: number; readonly resolve: () => void }> = []
  onRun: (n: number) => void = () => {}

  constructor(size: number) {
    this.times = new Uint8Array(size)
  }

  readonly run = (n: number): void => {
    this.times[n]!++
    this.done++
    this.onRun(n)
    while (this.waiting.length > 0 && this.done >= this.waiting[0]!.at) this.waiting.shift()!.resolve()
  }

  /** How many handlers have run. */
  get count(): number {
    return this.done
  }

  /** Resolves when so many handlers have run. */
  after(count: number): Promise<void> {
    return this.done >= count ? Promise.resolve() : new Promise((resolve) => this.waiting.push({ at: count, resolve }))
  }

  /** Each of the first so many ran exactly once. */
  check(count: number): void {
    for (let n = 0; n < count; n++) {
      if (this.times[n] !== 1) throw new Error(`job ${n} ran ${this.times[n]} times`)
    }
  }
}
