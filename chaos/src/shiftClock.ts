/** Sets the wall clock of this process off, as one whose machine has lost its time server: its monotonic clock goes on. */
export const shiftClock = (millis: number): void => {
  const Real = globalThis.Date
  const now = () => Real.now() + millis
  globalThis.Date = new Proxy(Real, {
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as object,
    get: (target, key, receiver) => key === "now" ? now : Reflect.get(target, key, receiver)
  })
}
