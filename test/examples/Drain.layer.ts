// Written by `npm run docs`: the example of `layer` of @capstan/http/Drain.
import { Drain } from "@capstan/http"
import { Mails } from "./setting.ts"
import { Redacted } from "effect"

export const run = () => {
  const Drained = Drain.layer(Mails, { secret: Redacted.make(process.env.CRON_SECRET!), atMost: "50 seconds" })
}
