// Written by `npm run docs`: the example of `statement` of @capstan/pg/PgEnqueue.
import { Effect } from "effect"
import { PgEnqueue } from "@capstan/pg"
import { SendMail, prisma, subject, to } from "./setting.ts"

export const run = async () => {
  const { text, values } = await Effect.runPromise(PgEnqueue.statement(SendMail.enqueue({ to, subject })))
  await prisma.$transaction((tx) => tx.$queryRawUnsafe(text, ...values))
}
