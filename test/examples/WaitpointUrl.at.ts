// Written by `npm run docs`: the example of `at` of @capstan/http/WaitpointUrl.
import { Approval, secret } from "./setting.ts"
import { Effect } from "effect"
import { WaitpointUrl } from "@capstan/http"

export const run = () => {
  const linkOf = WaitpointUrl.at("https://shop.example.com/approvals")

  const link = Effect.map(Approval.token({ secret, expiresIn: "7 days" }), linkOf)
}
