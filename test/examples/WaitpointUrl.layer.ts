// Written by `npm run docs`: the example of `layer` of @capstan/http/WaitpointUrl.
import { Approval, secret } from "./setting.ts"
import { WaitpointUrl } from "@capstan/http"

export const run = () => {
  const Approvals = WaitpointUrl.layer(Approval, { path: "/approvals", secret })
}
