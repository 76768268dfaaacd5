/** A program in a process of its own, which ends with the test's scope at the latest. */
import { Effect, type Scope } from "effect";
export interface Program {
    readonly pid: number;
    /** What it has printed so far. */
    readonly output: () => string;
    readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>;
    /** The exit code, or the signal. */
    readonly ended: Effect.Effect<number | NodeJS.Signals>;
}
export declare const run: (program: URL, ...args: ReadonlyArray<string>) => Effect.Effect<Program, never, Scope.Scope>;
