// Written by `npm run docs`: the example of `layer` of @capstan/http/Auth.
import { ApiError, Auth } from "@capstan/http"
import { Effect } from "effect"
import { Sessions } from "./setting.ts"

export const run = () => {
  const AuthLive = Auth.layer((request) =>
    Effect.gen(function*() {
      const user = yield* Sessions.userOf(request.cookies["session"])
      if (user === undefined) return yield* new ApiError.Unauthorized({ detail: "sign in first" })
      return Auth.principal(user.email, user.isOnCall ? "operator" : "viewer")
    }))
}
