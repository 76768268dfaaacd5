/** `dashboard`: the page of `@capstan/dashboard` for whoever started it, until Ctrl-C. */
import { Command, Flag } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { app, appGroup } from "./app.ts"
import { load, type Session } from "./connection.ts"
import { failed } from "./failure.ts"
import { print } from "./print.ts"

const served = load("the dashboard", "@capstan/dashboard and @capstan/http", () => import("./served.ts"))

/** The same one each time: a browser keeps its settings by it, and a tunnel names it. */
const usualPort = 4983

export const dashboard = (session: Session) =>
  Command.make("dashboard", {
    port: Flag.Int("port").pipe(
      Flag.withDescription("The port on 127.0.0.1; 0 is any that is free"),
      Flag.withDefault(usualPort)
    ),
    role: Flag.Literals("role", ["viewer", "operator", "admin"]).pipe(
      Flag.withDescription("viewer looks, operator does what can be taken back or repeated, admin deletes too"),
      // Whoever has the store's address may do everything with other commands, after a question; a page is one click.
      Flag.withDefault("operator" as const)
    ),
    app
  }, ({ app, port, role }) =>
    Effect.gen(function*() {
      if (port < 0 || port > 65535) return yield* failed("Usage", `--port must be from 0 to 65535, it is ${port}`)
      const { serve } = yield* served
      const groups = yield* appGroup(app)
      return yield* session(
        Effect.gen(function*() {
          const url = yield* serve({ port, role, groups })
          yield* Console.error(`the dashboard, as ${role}, until Ctrl-C; this address opens it once, in one browser:`)
          yield* print({ url, role }, () => url)
          return yield* Effect.never
        }).pipe(Effect.scoped)
      )
    })).pipe(
      Command.withDescription("The dashboard in a browser on this machine, behind an address that opens it once"),
      Command.withExamples([
        { command: "capstan dashboard --role viewer", description: "To look only" },
        {
          command: "capstan dashboard --app ./dist/jobs.js",
          description: "Payloads may be edited, by the jobs' schemas"
        }
      ])
    )
