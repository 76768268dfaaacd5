/** A program in a process of its own, which ends with the test's scope at the latest. */
import { Effect } from "effect";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
export const run = (program, ...args) => Effect.acquireRelease(Effect.sync(() => {
    const child = spawn(process.execPath, ["--conditions=@capstan/source", fileURLToPath(program), ...args], {
        stdio: ["ignore", "pipe", "pipe"]
    });
    let output = "";
    child.stdout.on("data", (data) => output += data);
    child.stderr.on("data", (data) => output += data);
    const ended = endOf(child);
    return {
        pid: child.pid,
        output: () => output,
        kill: (signal) => Effect.andThen(Effect.sync(() => child.kill(signal)), ended),
        ended
    };
}), ({ kill }) => Effect.asVoid(kill("SIGKILL")));
const endOf = (child) => {
    const end = new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal)));
    return Effect.promise(() => end);
};
//# sourceMappingURL=program.js.map